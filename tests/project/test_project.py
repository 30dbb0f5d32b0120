"""What the project's files say of each other."""

import ast
import re
import tomllib

import pytest
import yaml
from helpers.paths import ROOT

from contrastive import __version__

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
PLUGINS = sorted(ROOT.glob("plugins/*/pyproject.toml"))
FORMS = sorted(path for path in ROOT.glob(".github/ISSUE_TEMPLATE/*.yml") if path.stem != "config")


def text(path):
    return (ROOT / path).read_text(encoding="utf-8")


def read(path):
    return yaml.safe_load(text(path))


def matrix():
    return read(".github/workflows/ci.yml")["jobs"]["test"]["strategy"]["matrix"]


def pinned(package):
    return re.search(rf"^{package}==(.*)$", text("constraints.txt"), re.MULTILINE)[1]


def least(package):
    (found,) = (r for r in PROJECT["dependencies"] if re.match(rf"{package}\b", r))
    return found.partition(">=")[2]


# Extras --------------------------------------------------------------------------------------------------------------


def test_every_extra_that_is_named_exists():
    named = set()
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("plugins/*/README.md")]:
        named |= set(re.findall(r"(?:contrastive-estimation|['\"]\.)\[([a-z,]+)\]", path.read_text(encoding="utf-8")))
    for path in ROOT.glob("contrastive/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "missing_extra":
                named.add(ast.literal_eval(node.args[1]))
    names = {name for group in named for name in group.split(",")}
    assert {"report", "tables", "images", "tensorboard"} <= names
    assert names <= set(EXTRAS)


def test_all_is_every_extra_for_users_of_this_distribution():
    (all_of_them,) = EXTRAS["all"]
    name, _, listed = all_of_them.rstrip("]").partition("[")
    assert name == PROJECT["name"]
    assert set(listed.split(",")) == set(EXTRAS) - {"all", "dev"}


# Versions ------------------------------------------------------------------------------------------------------------


def test_the_version_is_in_one_place_and_its_copies_agree():
    assert "version" in PROJECT["dynamic"]
    assert read("CITATION.cff")["version"] == __version__
    for path in PLUGINS:
        assert tomllib.loads(path.read_text(encoding="utf-8"))["project"]["version"] == __version__, path
    assert f"## {__version__}" in text("CHANGELOG.md")


def test_ci_runs_on_what_is_supported():
    pythons = matrix()["python"]
    assert f">={pythons[0]}" == PROJECT["requires-python"]
    assert pythons == [f"3.{minor}" for minor in range(11, 11 + len(pythons))]
    for path in PLUGINS:
        project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
        assert project.get("requires-python", PROJECT["requires-python"]) == PROJECT["requires-python"]
    assert matrix()["torch"] == [pinned("torch")]
    assert matrix()["torchvision"] == [pinned("torchvision")]
    for oldest in matrix()["include"]:
        assert oldest["torch"].startswith(least("torch") + ".")
        assert oldest["python"] == pythons[0]
    assert {job["os"] for job in matrix()["include"]} == set(matrix()["os"]) == {"ubuntu-latest", "macos-latest"}


# Files for contributors ----------------------------------------------------------------------------------------------


def test_make_targets_that_are_named_exist():
    targets = set(re.findall(r"^([a-z-]+):", text("Makefile"), re.MULTILINE))
    phony = re.search(r"^\.PHONY: (.*)$", text("Makefile"), re.MULTILINE)[1]
    assert set(phony.split()) == targets
    steps = read(".github/workflows/ci.yml")["jobs"]["test"]["steps"]
    run = [step["run"].split()[-1] for step in steps if step.get("run", "").startswith("make ")]
    assert run == ["install", "lint", "types", "check-imports", "tests"]
    lines = re.findall(r"(?:`|^    )make ([a-z -]+)", text("CONTRIBUTING.md"), re.MULTILINE)
    named = {name for line in lines for name in line.split()}
    assert {"install", "test", "fix", "hooks", "help"} <= named
    assert named <= targets


def test_every_benchmark_stands_in_the_readme():
    named = re.findall(r"^\| `python -m benchmarks\.([a-z]+\.[a-z0-9_]+)", text("benchmarks/README.md"), re.MULTILINE)
    files = [path for room in ("paper", "library") for path in ROOT.glob(f"benchmarks/{room}/*.py")]
    assert sorted(named) == sorted(f"{path.parent.name}.{path.stem}" for path in files if path.stem != "__init__")


def test_benchmarks_are_not_installed():
    find = tomllib.loads(text("pyproject.toml"))["tool"]["setuptools"]["packages"]["find"]
    assert find == {"include": ["contrastive*"]}


def test_commands_of_benchmarks_name_modules():
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/**/*.md"), ROOT / "Makefile"]
    for path in [*pages, *ROOT.glob("benchmarks/**/*.py")]:
        content = path.read_text(encoding="utf-8")
        assert not re.search(r"python\s+benchmarks/", content), path
        for name in re.findall(r"-m benchmarks\.([a-z]+\.[a-z0-9_]+)", content):
            assert (ROOT / "benchmarks" / f"{name.replace('.', '/')}.py").exists(), (path, name)


def test_files_that_are_named_exist():
    paths = r"`((?:contrastive|tests|benchmarks|docs|plugins)/[\w/.-]+)`|\]\(([\w/.-]+)\)"
    named = re.findall(paths, text("CONTRIBUTING.md"))
    missing = [name for pair in named for name in pair if name and "NAME" not in name and not (ROOT / name).exists()]
    assert len(named) > 20
    assert missing == []


def test_every_package_of_the_house_is_described():
    described = re.findall(r"^\| (`[a-z`, ]+`) \|", text("CONTRIBUTING.md"), re.MULTILINE)
    names = set(re.findall(r"`([a-z]+)`", " ".join(described))) | {"testing"}
    house = {path.parent.name for path in ROOT.glob("contrastive/*/__init__.py")}
    loose = {path.stem for path in ROOT.glob("contrastive/*.py")} - {"__init__", "__main__"}
    assert names == house | loose


def test_few_modules_lie_beside_the_packages():
    assert len(list(ROOT.glob("contrastive/*.py"))) <= 8


def test_hooks_run_what_is_installed():
    (repository,) = read(".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"
    tools = {hook["entry"].split()[0] for hook in repository["hooks"]}
    assert tools == {".venv/bin/ruff", ".venv/bin/mypy"}


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_a_form_can_be_shown(path):
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert set(form) == {"name", "description", "labels", "body"}
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert len({field["id"] for field in fields}) == len(fields)
    assert all(field["attributes"]["label"] for field in fields)
