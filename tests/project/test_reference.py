"""The documentation's links lead somewhere, and its reference pages name everything that the package has."""

import importlib
import inspect
import json
import os
import re
import runpy
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from contrastive_glow import Glow, ImageGlow
from helpers.paths import ROOT

import contrastive
from contrastive import available_energies, available_noises
from contrastive.objectives import OBJECTIVES
from contrastive.registry import NOT_OPTIONS, energies, noises
from contrastive.training.run_files import WRITTEN

DOCUMENTS = sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("plugins/*/README.md")})
DOCUMENTS += [ROOT / "benchmarks" / "README.md"]


def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", page, flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_leads_to_a_file_and_a_heading(document):
    for target in re.findall(r"\]\(([^)\s]*)\)", document.read_text(encoding="utf-8")):
        assert target, "an empty link"
        link = urlsplit(target)
        if link.scheme:
            continue
        file = Path(os.path.normpath(document.parent / link.path)) if link.path else document
        assert file.exists(), target
        if link.fragment:
            assert link.fragment in anchors(file.read_text(encoding="utf-8")), target


def test_every_page_is_in_the_index():
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in ROOT.glob("docs/*/*.md")}
    assert pages - set(re.findall(r"\]\(([\w/-]+\.md)(?:#[\w-]*)?\)", index)) == set()


# The reference and the package --------------------------------------------------------------------------------------


def page(name):
    return (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8")


def rows(name):
    """Each name in code in the first column of a page's tables, with the text of its rows."""
    found = {}
    for line in page(name).splitlines():
        if line.startswith("| "):
            first = line.split(" | ")[0]
            for word in re.findall(r"`([^`]+)`", first):
                found[word] = found.get(word, "") + line
    return found


def options(factory):
    """The keyword options of a factory that it names in its signature."""
    parameters = inspect.signature(factory).parameters.values()
    named = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY or (p.kind is p.POSITIONAL_OR_KEYWORD)}
    return named - set(NOT_OPTIONS)


def test_pages_written_from_the_code_are_up_to_date():
    written = runpy.run_path(str(ROOT / "docs" / "generate_reference.py"))["PAGES"]
    stale = [name for name, make in written.items() if page(name) != make()]
    assert stale == [], "run python docs/generate_reference.py"


@pytest.mark.parametrize(
    ("name", "factories"),
    [
        ("noises.md", {name: noises.load(name) for name in available_noises()}),
        ("energies.md", {name: energies.load(name) for name in available_energies()}),
        ("objectives.md", OBJECTIVES),
    ],
)
def test_every_registered_name_stands_on_its_page_with_its_options(name, factories):
    described = rows(name)
    assert set(factories) - set(described) == set()
    for registered, factory in factories.items():
        missing = {option for option in options(factory) if f"`{option}`" not in described[registered]}
        assert missing == set(), registered


def test_glows_options_stand_on_its_rows():
    described = rows("noises.md")["glow"]
    assert {o for flow in (Glow, ImageGlow) for o in options(flow) if f"`{o}`" not in described} == set()


def test_every_public_name_and_method_stands_on_the_page_of_the_api():
    listed = {re.match(r"[\w.]+", word)[0] for word in rows("python.md")}
    methods = {
        name
        for name, method in inspect.getmembers(contrastive.ContrastiveEstimator, inspect.isfunction)
        if not name.startswith("_") and method.__module__.startswith("contrastive")
    }
    current = {
        m for m in methods if not (getattr(contrastive.ContrastiveEstimator, m).__doc__ or "").startswith("Depr")
    }
    assert {*contrastive.__all__, *current} - listed == set()
    assert {n for n in listed - current if "." not in n} == set(contrastive.__all__) - current


def test_the_named_packages_and_their_names_exist():
    packages = page("python.md").partition("## Packages")[2]
    lines = re.findall(r"^\| `(contrastive[\w.]+)` \| (.*) \|$", packages, re.M)
    assert len(lines) > 5
    for module, text in lines:
        for name in re.findall(r"`(\w+)`", text):
            assert hasattr(importlib.import_module(module), name), (module, name)


def test_files_and_figures_of_a_run_stand_on_its_page(tmp_path):
    described = page("run-directory.md")
    cases = [("two-spirals", {"labels_per_class": 5}), (np.random.default_rng(0).normal(size=(200, 2)), {})]
    for number, (data, settings) in enumerate(cases):
        run = tmp_path / str(number)
        common = {"steps": 10, "batch_size": 50, "log_partition_draws": 1000, "test_rows": 300, "quiet": True}
        contrastive.fit(data, out=str(run), **common, **settings)
        figures = {**json.loads((run / "summary.json").read_text()), **figures_of(run)}
        assert {name for name in figures if f"`{name}`" not in described} == set()
    patterns = [pattern for folder, listed in WRITTEN.items() for pattern in listed if folder in ("", "plots")]
    words = {word.rpartition("/")[2] for word in re.findall(r"`([^`]+)`", described)}
    assert [pattern for pattern in patterns if not any(re.fullmatch(pattern, word) for word in words)] == []


def figures_of(run):
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return {name: None for line in lines for name in json.loads(line)}


def test_the_tests_that_the_formulas_name_exist():
    text = (ROOT / "docs" / "explanation" / "formulas.md").read_text(encoding="utf-8") + page("objectives.md")
    named = set(re.findall(r"`(test_\w+)`", text))
    defined = {
        name
        for path in ROOT.glob("tests/**/test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.M)
    }
    assert len(named) > 30
    assert named - defined == set()
