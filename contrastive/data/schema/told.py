"""What the settings say of the columns' kinds."""

import math
from dataclasses import dataclass

from contrastive.config import FitConfig
from contrastive.data.schema.column import Kind
from contrastive.data.tables.columns import pick
from contrastive.data.tables.reading import split_names
from contrastive.errors import ContrastiveError

#: Settings of the section `data` that name columns, and the kind that they give.
BY_NAME: dict[str, Kind] = {
    "categorical": "category",
    "integer": "integer",
    "continuous": "continuous",
    "positive": "positive",
}
BY_RANGE: dict[str, Kind] = {"bounded": "bounded", "circular": "circular"}


@dataclass(frozen=True)
class Told:
    """The kind of a column, as it is told."""

    kind: Kind
    low: float = 0.0
    high: float = 0.0


def told_kinds(config: FitConfig) -> dict[str, Told]:
    """Kinds by column.

    Raises:
        ContrastiveError: for a column that is named twice, or a range that is none.
    """
    told: dict[str, Told] = {}
    for setting, kind in (BY_NAME | BY_RANGE).items():
        for word in split_names(getattr(config.data, setting)) or []:
            name, kept = (word, Told(kind)) if setting in BY_NAME else _ranged(setting, kind, word)
            if name in told:
                raise ContrastiveError(f"the column {name!r} is named twice, as {told[name].kind} and as {kind}")
            told[name] = kept
    return told


def refuse_unknown(told: dict[str, Told], columns: list[str]) -> None:
    """Refuse kinds of columns that are not there.

    Raises:
        ContrastiveError: naming them, with near names.
    """
    pick(columns, list(told), "the table")


def _ranged(setting: str, kind: Kind, word: str) -> tuple[str, Told]:
    name, *ends = word.rsplit(":", 2)
    try:
        low, high = map(float, ends)
    except ValueError:
        low, high = math.nan, math.nan
    if not name or not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ContrastiveError(
            f"--data.{setting} takes NAME:LOW:HIGH with LOW below HIGH, such as share:0:1, got {word!r}"
        )
    return name, Told(kind, low, high)
