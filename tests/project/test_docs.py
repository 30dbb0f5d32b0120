"""Every command and code block of the documentation runs as it stands, in reading order.

A page runs in a folder of its own, which holds nothing but the data that the page calls the reader's own (`OWN_DATA`).
Its blocks share one namespace and that folder, as they would for somebody who types the page in. What is shortened:

* commands: the numbers of updates, test rows and draws, by options at the end of the line, and `fit` leaves out its
  report, which `contrastive plot` writes too (`SHORTER`);
* Python: the default numbers of updates, but in README and quickstart (`IN_FULL`), whose training is that of a reader.
"""

import re
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from helpers.paths import ROOT
from sklearn.datasets import load_iris, load_wine

from contrastive.cli.main import main
from contrastive.config import resolution
from contrastive.data.images import available_sets

PAGES = ["README.md", *(str(page.relative_to(ROOT)) for page in sorted(ROOT.glob("docs/**/*.md")))]
PAGES += [str(page.relative_to(ROOT)) for page in sorted(ROOT.glob("plugins/*/README.md"))]

#: Pages whose Python trains as long as it says.
IN_FULL = ("README.md", "docs/tutorials/quickstart.md")
#: Updates of each stage of training, but of the Python of those pages.
STEPS = 5
#: Command -> options that end its line, and prevail over those before.
SHORTER = {
    "fit": ["--steps", str(STEPS), "--log-partition-draws", "0", "--test-rows", "500", "--no-report"],
    "normalizer": ["--draws", "1000", "--method", "importance"],
    "ratio": ["--steps", str(STEPS)],
    "sample": ["-n", "50", "--warmup", "5"],
}
#: The same for options of `fit` that not every run takes: added where the line has them.
_WHERE_ASKED = ("--pretrain-steps", "--energy-steps")

_TOOLS = ("contrastive ", "make ", "pip ")

#: Pages that do not run as they stand, and why. A page that would run fails here: take it off.
NOT_YET = {
    "docs/how-to/features.md": "its folder of pictures and its table of patients are not made",
    "docs/explanation/few-label-results.md": "MNIST is not at hand",
    "docs/how-to/few-labels.md": "MNIST is not at hand",
    "docs/how-to/image-measures.md": "the images are not made",
    "docs/how-to/images.md": "the images are not made",
    "docs/how-to/choose-a-noise.md": "pyro is not installed",
    "docs/how-to/testing.md": "MyNoise is the reader's own",
    "docs/tutorials/writing-a-noise.md": "the class is shown in parts",
    "plugins/autoregressive/README.md": "PixelCNN is slow to draw from",
}


def table(path):
    load_wine(as_frame=True).data[["alcohol", "flavanoids", "hue"]].to_csv(path, index=False)


def flowers(path):
    iris = load_iris(as_frame=True)
    species = iris.target_names[iris.target].astype(object)
    species[::3] = None
    iris.data.assign(species=species).sample(frac=1, random_state=0).to_csv(path, index=False)


def people(path):
    rng, n = np.random.default_rng(0), 300
    frame = pd.DataFrame(
        {
            "country": rng.choice(["at", "de", "fr"], n),
            "seen": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 99, n), unit="D"),
            "visits": rng.poisson(40, n),
            "bearing": rng.uniform(-180, 180, n),
            "income": np.where(rng.random(n) < 0.3, 0.0, rng.lognormal(10, 1, n)),
            "height": np.where(rng.random(n) < 0.2, np.nan, rng.normal(170, 10, n)),
        }
    )
    (frame.head(20) if path.name == "holes.csv" else frame).to_csv(path, index=False)


def pictures(path):
    path.mkdir()
    rng = np.random.default_rng(0)
    for name in range(60):
        matplotlib.image.imsave(path / f"{name}.png", rng.random((8, 8, 3)))


def simulations(path):
    theta = np.random.default_rng(0).uniform(-2, 2, (200, 1))
    x = theta + np.random.default_rng(1).normal(size=(200, 1))
    np.savetxt(path, np.concatenate([theta, x], 1), delimiter=",", header="theta,x", comments="")


#: What pages call the reader's own data: name of the file or folder -> what writes it.
OWN_DATA = {
    "table.csv": table,
    "new.csv": table,
    "flowers.csv": flowers,
    "pictures": pictures,
    "simulations.csv": simulations,
    "people.csv": people,
    "holes.csv": people,
}


@dataclass(frozen=True)
class Block:
    """Lines of one page that belong together: `python`, or `shell`, where each line is a command."""

    language: str
    first_line: int
    lines: tuple[str, ...]


def blocks(text: str) -> Iterator[Block]:
    """Fenced blocks of Python, and indented blocks, in reading order."""
    lines = text.splitlines()
    number = 0
    while number < len(lines):
        start, fenced = number, lines[number].startswith("```")
        number += 1
        if fenced:
            while not lines[number].startswith("```"):
                number += 1
            number += 1
            if lines[start].strip() == "```python":
                yield Block("python", start + 2, tuple(lines[start + 1 : number - 1]))
        elif lines[start].startswith("    "):
            while number < len(lines) and lines[number].startswith("    "):
                number += 1
            yield Block("shell", start + 1, tuple(line.strip() for line in lines[start:number]))


def commands(block: Block) -> list[list[str]]:
    """The words of each command in an indented block, which may be a formula or output as well."""
    text = "\n".join(block.lines).replace("\\\n", " ")
    return [shlex.split(line, comments=True) for line in text.splitlines() if line.startswith(_TOOLS)]


def shortened(words: list[str]) -> list[str]:
    """The arguments of a command, less work asked of it at the end; a run that goes on has its numbers already."""
    if "--resume" in words:
        return words
    asked = [word for option in _WHERE_ASKED if option in words for word in (option, str(STEPS))]
    shorter = SHORTER.get(words[0], [])
    if words[0] == "sample" and "--given" in words:  # draws for a context are the ends of chains of their own
        shorter = ["-n", "5"]
    return [*words, *shorter, *asked]


def project(file: Path) -> dict:
    return tomllib.loads(file.read_text(encoding="utf-8"))["project"]


def run(words: list[str], where: str) -> None:
    """Run a command of `contrastive`; see that `make` and `pip` are asked for what there is."""
    tool, *rest = words
    if tool == "contrastive":
        assert not set(rest) & set(available_sets()), f"{where}: data that are not at hand: {shlex.join(words)}"
        assert main(shortened(rest)) == 0, f"{where}: {shlex.join(words)}"
    elif tool == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
        assert set(rest) <= set(targets), f"{where}: no such target: {shlex.join(words)}"
    elif tool == "pip":
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
            "optional-dependencies"
        ]
        named = ",".join(re.findall(r"\[(.*?)\]", shlex.join(rest)))
        assert set(filter(None, named.split(","))) <= set(extras), f"{where}: no such extra: {shlex.join(words)}"
        missing = [word for word in rest if word.startswith("./") and not (ROOT / word).exists()]
        assert not missing, f"{where}: not in the repository: {missing}"


def execute(page: str, text: str) -> None:
    """Run every block of a page, one after the other."""
    namespace = {"__name__": "__main__"}
    for block in blocks(text):
        where = f"{page}:{block.first_line}"
        if block.language == "python":
            exec(compile("\n" * (block.first_line - 1) + "\n".join(block.lines), page, "exec"), namespace)
        else:
            for words in commands(block):
                run(words, where)


def as_listed(page: str) -> object:
    marks = pytest.mark.xfail(strict=True, reason=NOT_YET[page]) if page in NOT_YET else ()
    return pytest.param(page, marks=marks, id=page)


@pytest.mark.parametrize("page", [as_listed(page) for page in PAGES])
def test_every_block_of_the_page_runs(page, tmp_path, monkeypatch):
    text = (ROOT / page).read_text(encoding="utf-8")
    for name, write in OWN_DATA.items():
        if re.search(rf"`{name}`", text):
            write(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    if page not in IN_FULL:
        monkeypatch.setattr(resolution, "_STEPS", STEPS)
    monkeypatch.setattr(resolution, "_PRETRAINING", STEPS)
    execute(page, text)


def test_no_document_installs_the_other_package():
    # "contrastive" on the package index is contrastive PCA.
    texts = [*ROOT.glob("*.md"), *ROOT.glob("*.toml"), *ROOT.glob("Makefile")]
    for folder in ("benchmarks", "contrastive", "docs", "plugins", "tests"):
        texts += [path for path in ROOT.joinpath(folder).rglob("*") if path.suffix in (".md", ".py", ".toml")]
    wrong = re.compile(r"(?<!un)install (-\S+ )*[\"']?contrastive(?![-\w])|[\"']contrastive\[")
    found = [path for path in texts if path != Path(__file__) and wrong.search(path.read_text(encoding="utf-8"))]
    assert found == []


def test_the_plugins_depend_on_this_distribution():
    own = project(ROOT / "pyproject.toml")["name"]
    for file in ROOT.glob("plugins/*/pyproject.toml"):
        assert project(file)["dependencies"][0].partition(">")[0] == own, file


def test_a_block_that_fails_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AssertionError, match=r"page\.md:3: contrastive fit --data nowhere\.csv"):
        execute("page.md", "Text\n\n    contrastive fit --data nowhere.csv\n")
    with pytest.raises(AssertionError, match=r"page\.md:1: no such extra"):
        execute("page.md", "    pip install -e '.[nothing]'\n")
    with pytest.raises(AssertionError, match=r"page\.md:1: no such target"):
        execute("page.md", "    make nothing\n")
    with pytest.raises(ZeroDivisionError):
        execute("page.md", "```python\nx = 0\n```\n\n```python\n1 / x\n```\n")
