"""Layouts: what each entry of an event is, where the entries are not all real numbers.

The base measure of such events is a product: Lebesgue measure for `real` and `circle` entries, counting measure for
`category` and `grid` entries. An entry that is optional is there only where the entry before it, its state, is 0; where
it is not there it is 0, and carries a point mass of 1.
"""

import inspect
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from contrastive.errors import ContrastiveError

Kind = Literal["real", "circle", "category", "grid"]
_FARTHEST = 1e6  # beyond, a network would overflow
_OFF_GRID, _ROUNDING = 0.1, 1e-6  # of a step; the second a step from 0, of float32
_WORD = re.compile(r"(real|circle|category|grid)(?::([0-9.eE+-]+))?(\?)?")


@dataclass(frozen=True)
class Entry:
    """One entry of an event.

    Attributes:
        kind: "real" (a real number), "circle" (an angle in [-pi, pi)), "category" (a code 0, 1, ... as a float) or
            "grid" (a whole multiple of `step`).
        size: number of codes of a category.
        step: of a grid.
        optional: whether it is there only where the entry before it is 0.
    """

    kind: Kind
    size: int = 0
    step: float = 0.0
    optional: bool = False

    @property
    def is_discrete(self) -> bool:
        """Whether its base measure is counting measure."""
        return self.kind in ("category", "grid")

    @property
    def word(self) -> str:
        """The entry as `parse_layout` reads it: "real", "category:3", "grid:0.25?"."""
        number = {"category": f":{self.size}", "grid": f":{self.step:.17g}"}.get(self.kind, "")
        return f"{self.kind}{number}{'?' if self.optional else ''}"


Layout: TypeAlias = tuple[Entry, ...]


def parse_layout(words: Sequence[str] | str | None, entries: int) -> Layout:
    """A layout from its words, such as `["category:2", "real?", "circle", "grid:0.5"]`; None is all real.

    Args:
        words: one an entry, in a list or separated by commas. "?" marks an entry that is optional.
        entries: of the event.

    Raises:
        ContrastiveError: for a word that is none of these, another number of words than entries, or an optional entry
            that does not follow a category.

    Example:
        >>> [entry.kind for entry in parse_layout("category:3, real?", 2)]
        ['category', 'real']
    """
    if words is None:
        return (Entry("real"),) * entries
    words = words.split(",") if isinstance(words, str) else list(words)
    layout = tuple(_entry(str(word).strip()) for word in words)
    if len(layout) != entries:
        raise ContrastiveError(f"a layout of {len(layout)} entries does not fit events of {entries}")
    for i, entry in enumerate(layout):
        if entry.optional and (i == 0 or layout[i - 1].kind != "category" or layout[i - 1].optional):
            raise ContrastiveError(
                f"entry {i} of the layout is optional ({entry.word!r}), so the one before it must be a category that "
                "says whether it is there"
            )
    return layout


def _entry(word: str) -> Entry:
    found = _WORD.fullmatch(word)
    if found is not None:
        kind, number, optional = found.groups()
        if number is None and kind in ("real", "circle"):
            return Entry(kind, optional=optional is not None)  # type: ignore[arg-type]
        if number is not None and kind == "category" and number.isdigit() and int(number) >= 1:
            return Entry("category", size=int(number), optional=optional is not None)
        if number is not None and kind == "grid" and 0 < _number(number) < math.inf:
            return Entry("grid", step=_number(number), optional=optional is not None)
    raise ContrastiveError(
        f"{word!r} is no entry of a layout: expected {', '.join(get_args(Kind)[:2])}, category:NUMBER or grid:STEP, "
        "followed by ? where it is optional"
    )


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def has_discrete(layout: Layout) -> bool:
    """Whether any entry is something else than a real number that is always there."""
    return any(entry != Entry("real") for entry in layout)


def present(z: Float[Tensor, "n d"], layout: Layout) -> Bool[Tensor, "n d"]:
    """Which entries are there: all but the optional ones whose state, the entry before, is not 0."""
    before = torch.cat([torch.zeros_like(z[:, :1]), z[:, :-1]], 1)
    optional = torch.tensor([entry.optional for entry in layout], device=z.device)
    return ~optional | (before == 0)


def on_support(z: Float[Tensor, "n d"], layout: Layout) -> Bool[Tensor, " n"]:
    """Which rows the base measure covers: codes that there are, points of the grids, 0 where an entry is not there."""
    valid = []
    for entry, column in zip(layout, z.unbind(1)):
        if entry.kind == "category":
            valid.append((column == column.round()) & (column >= 0) & (column < entry.size))
        elif entry.kind == "grid":
            steps = column / entry.step
            valid.append((steps - steps.round()).abs() < _OFF_GRID + _ROUNDING * steps.abs())
        elif entry.kind == "circle":
            valid.append((column >= -math.pi - 1e-6) & (column <= math.pi + 1e-6))
        else:
            valid.append(torch.ones_like(column, dtype=torch.bool))
    return torch.where(present(z, layout), torch.stack(valid, 1), z == 0).all(1)


class EntryFeatures(nn.Module):
    """What a network sees of an event: categories one-hot, angles as sine and cosine, numbers as they are.

    Args:
        layout: of the event.

    Attributes:
        widths: how many features each entry becomes.

    Example:
        >>> EntryFeatures(parse_layout("category:3, real", 2))(torch.tensor([[2.0, 0.5]]))
        tensor([[0.0000, 0.0000, 1.0000, 0.5000]])
    """

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.layout = layout
        self.widths = [{"category": entry.size, "circle": 2}.get(entry.kind, 1) for entry in layout]

    def forward(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n features"]:
        """The features, entry by entry."""
        return torch.cat([_features(entry, column) for entry, column in zip(self.layout, z.unbind(1))], 1)


def _features(entry: Entry, column: Float[Tensor, " n"]) -> Float[Tensor, "n width"]:
    if entry.kind == "category":
        return (column[:, None].round() == torch.arange(entry.size, device=column.device)).to(column)
    if entry.kind == "circle":
        return torch.stack([column.sin(), column.cos()], 1)
    return column[:, None].clamp(-_FARTHEST, _FARTHEST)


def takes_layout(factory: Callable[..., object]) -> bool:
    """Whether a factory of models has an option `layout`."""
    return "layout" in inspect.signature(factory).parameters
