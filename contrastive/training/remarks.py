"""What is said of the rows before a fit: ties, copies, linear dependence."""

from typing import Any

from contrastive.data.preparation import Prepared
from contrastive.data.preparation.collinear import dependent_columns, describe_dependent
from contrastive.data.preparation.copies import are_many, describe_copies
from contrastive.data.preparation.ties import describe_spread, describe_ties
from contrastive.data.preparation.weights import are_few, describe_weights
from contrastive.errors import warn
from contrastive.training.progress import Progress


def remarks_on_rows(data: Prepared, progress: Progress) -> dict[str, Any]:
    """Say how the rows were prepared and what is odd about them; returns it, as in found.json and summary.json."""
    found = _rounding(data) | _dependent(data)
    _say_of_rows(data, progress)
    return found


def warn_of_ties(data: Prepared) -> None:
    """A warning of columns with ties that were left as they are."""
    if data.ties and not data.dequantize:
        warn(describe_ties(data.ties))


def _rounding(data: Prepared) -> dict[str, Any]:
    """How many columns have ties, and how they were spread, as in found.json and summary.json."""
    tied: dict[str, Any] = {"tied_columns": len(data.ties)} if data.ties else {}
    if not data.dequantize:
        return tied
    atoms = {name: list(tie.atom) for name, tie in data.ties.items() if tie.atom is not None}
    return {**tied, "dequantized": data.rounding_steps, **({"atoms": atoms} if atoms else {})}


def _dependent(data: Prepared) -> dict[str, str]:
    """A warning of columns that are linearly dependent, as in summary.json; nothing for none."""
    bounded = data.held_out_noise is not None or data.facts.mixed  # of a ratio, and of a table as it is
    if len(data.event_shape) != 1 or not data.repeats or bounded:
        return {}
    said = describe_dependent([data.columns[i] for i in dependent_columns(data.fitting)])
    if said:
        warn(said)
    return {"columns_warning": said} if said else {}


def _say_of_rows(data: Prepared, progress: Progress) -> None:
    """What was done to rounded columns, and how many held-out rows are copies; many of them bring a warning."""
    rounding = _rounding(data)
    if said := describe_spread(data.rounding_steps, rounding.get("atoms", {}), len(data.columns)):
        progress.say(said)
    copies, rounded = data.duplicated_test_rows or 0, len(data.ties) == len(data.columns)
    if said := describe_copies(copies, len(data.test), rounded=rounded):
        (progress.say if rounded or not are_many(copies, len(data.test)) else warn)(said)
    if said := describe_weights(data.zero_weights, data.fitting_weight):
        (warn if are_few(data.fitting_weight) else progress.say)(said)
