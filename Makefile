# `make demo` and `make test` work from a fresh clone with Python 3.11 or newer.
PYTHON ?= python3
BIN := .venv/bin
CONSTRAINTS ?= constraints.txt
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint $(CONSTRAINTS)

.PHONY: help install demo test lint fix hooks types check-imports tests test-long bench-quick lock clean docs

help:  ## what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-16s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.venv/installed: pyproject.toml plugins/glow/pyproject.toml plugins/autoregressive/pyproject.toml plugins/zuko/pyproject.toml $(CONSTRAINTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv --clear .venv
	@echo "installing into .venv (torch is large: this takes a while)"
	$(INSTALL) setuptools torch
	$(INSTALL) --no-build-isolation --editable '.[all,dev]' --editable plugins/glow --editable plugins/autoregressive --editable plugins/zuko
	@touch $@

install: .venv/installed  ## create .venv with the package, its extras, the plugins and the tools

demo: install  ## fit 8 Gaussians (FCE with Glow, Gaussian NCE) and a real table; write a report
	$(BIN)/python -m benchmarks.library.demo

test: lint types check-imports tests  ## everything that CI runs

lint: install  ## ruff: style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

fix: install  ## ruff: mend what it can of style, and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

hooks: install  ## have git run lint and types before each commit
	$(BIN)/pre-commit install

types: install  ## mypy, strict
	$(BIN)/mypy

check-imports: install  ## imports point one way, and the core knows no plugin
	$(BIN)/lint-imports

tests: install  ## pytest, on two processes
	$(BIN)/python -m pytest -n 2 --dist worksteal

test-long: install  ## the property tests on eight times the examples, under new seeds
	HYPOTHESIS_PROFILE=long $(BIN)/python -m pytest -n 2 --dist worksteal

bench-quick: install  ## every benchmark in its quick form
	@set -e; for name in $(subst /,.,$(filter-out %/__init__,$(basename $(wildcard benchmarks/paper/*.py benchmarks/library/*.py)))); do \
		echo "== $$name"; $(BIN)/python -m $$name --quick --out runs/quick/$${name##*.}; done
	PYTHON=$(BIN)/python bash benchmarks/device/paper.sh --quick --out runs/quick/device-paper

docs: install  ## write the pages of the reference that follow from the code
	$(BIN)/python docs/generate_reference.py

lock: install  ## write constraints.txt anew from what is installed
	@head -4 constraints.txt > constraints.tmp
	$(BIN)/python -m pip freeze --exclude-editable | grep -vE '^(torch|torchvision|setuptools)==' >> constraints.tmp
	mv constraints.tmp constraints.txt

clean:  ## remove the environment and every run
	rm -rf .venv runs
