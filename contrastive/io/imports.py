"""Imports by path, which run code and need the user's permission."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from contrastive.errors import ContrastiveError


def import_object(path: str) -> Any:
    """What `module:name` or `module.name` leads to, the module found wherever Python looks for modules.

    Raises:
        ContrastiveError: if it does not import.
    """
    module, name = split_path(path)
    with foreign_code(f"cannot import {path}"):
        return getattr(import_module(module), name)


def import_installed_object(path: str) -> Any:
    """As `import_object`, but a module that lies in the working directory does not count.

    Who may name an installed module has not said that files beside the data are to be run.

    Raises:
        ContrastiveError: if it does not import.
    """
    try:
        with without_working_directory():
            return import_object(path)
    except ContrastiveError as error:
        if not isinstance(error.__cause__, ModuleNotFoundError):
            raise
        raise ContrastiveError(f"{error}; install it, modules in the working directory do not count") from error


def split_path(path: str) -> tuple[str, str]:
    """Module and name of an import path, `module:name` or `module.name`."""
    module, _, name = path.partition(":") if ":" in path else path.rpartition(".")
    return module, name


@contextmanager
def foreign_code(what: str) -> Iterator[None]:
    """Around code of a stranger, which may raise anything, `SystemExit` too: a `ContrastiveError` that begins `what`.

    Ctrl-C passes.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        reason = " ".join(str(error).split())  # torch's own messages run over several lines
        raise ContrastiveError(f"{what}: {type(error).__name__}: {reason}") from error


@contextmanager
def without_working_directory() -> Iterator[None]:
    """Within it Python looks for no module in the working directory."""
    removed = [(index, entry) for index, entry in enumerate(sys.path) if _is_working_directory(entry)]
    sys.path[:] = [entry for entry in sys.path if not _is_working_directory(entry)]
    try:
        yield
    finally:
        for index, entry in removed:  # what the module itself has added stays
            sys.path.insert(index, entry)


def _is_working_directory(entry: str) -> bool:
    return os.path.realpath(entry or os.curdir) == os.path.realpath(os.curdir)
