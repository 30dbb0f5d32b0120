"""Contexts of a conditional density, from the command line."""

from pathlib import Path

from contrastive.api import ContrastiveEstimator
from contrastive.data.points import Rows
from contrastive.data.tables import is_table
from contrastive.errors import ContrastiveError


def read_contexts(text: str, estimator: ContrastiveEstimator) -> Rows:
    """What `--given` says: one context by name, `age=40,sex=1`, or in order, `40,1`; or a file with one a row.

    Raises:
        ContrastiveError: if the run is not conditional, or the text is none of these.
    """
    if not estimator.scaling.num_given:
        raise ContrastiveError("this run is not conditional: leave out --given, or fit with --given COLUMNS")
    if is_table(text) or Path(text).exists():
        return text
    parts = [part.partition("=") for part in text.split(",")]
    by_name = [bool(sign) for _, sign, _ in parts]
    if any(by_name) and not all(by_name):
        raise ContrastiveError(f"--given {text!r}: either every number with its name (age=40,sex=1), or none")
    try:
        numbers = [float(value if sign else name) for name, sign, value in parts]
    except ValueError:
        raise ContrastiveError(
            f"--given {text!r}: expected numbers by name (age=40,sex=1) or in order (40,1), or a table's file"
        ) from None
    return {name.strip(): number for (name, _, _), number in zip(parts, numbers)} if all(by_name) else numbers
