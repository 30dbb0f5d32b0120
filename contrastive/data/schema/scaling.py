"""Coordinates of the rows of a table: categories as codes, numbers transformed and standardised, states beside them."""

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor

from contrastive.data.scaling import Coordinates
from contrastive.data.schema.column import PRESENT, Column
from contrastive.data.tables.raw import RawColumn, RawTable
from contrastive.errors import ContrastiveError
from contrastive.numerics.layout import Entry, Layout

_EDGE = 1e-12  # of a bounded column's width: inverse logits round onto the ends


class TableScaling(Coordinates):
    """From rows of a table, as `encode` gives them, to model coordinates, with the log-determinant of each row.

    A row x has an entry for each column, in the table's units, and before it one for its state where values are missing
    or have a mass of their own (`Column.entries`). In model coordinates z categories are codes, integers are
    standardised onto a grid through 0, angles are in [-pi, pi), and continuous columns are standardised, positive ones
    after the logarithm and bounded ones after the logit. Where a value is not there, its entry is 0.

    Densities of x are with respect to the product of Lebesgue measure, for continuous columns, counting measure, for
    discrete ones, and a point mass at each state without a value.

    Args:
        columns: the schema.
        shift: of each entry, after its transform.
        scale: likewise, positive.

    Example:
        >>> columns = (Column("colour", "category", ("blue", "red")), Column("income", "positive"))
        >>> scaling = TableScaling(columns, torch.zeros(2), torch.ones(2))
        >>> [entry.word for entry in scaling.layout], scaling(torch.tensor([[1.0, 1.0]]))
        (['category:2', 'real'], tensor([[1., 0.]]))
    """

    schema: Tensor
    shift: Tensor
    scale: Tensor

    def __init__(self, columns: Sequence[Column], shift: Float[Tensor, " d"], scale: Float[Tensor, " d"]) -> None:
        super().__init__()
        self.columns = tuple(columns)
        # Buffers, so that a run's tensors tell what its coordinates are.
        text = json.dumps([column.to_dict() for column in columns], ensure_ascii=False)
        self.register_buffer("schema", torch.tensor(list(text.encode()), dtype=torch.uint8))
        self.register_buffer("shift", shift.double())
        self.register_buffer("scale", scale.double())
        ends = np.cumsum([len(column.entries) for column in columns]).tolist()
        self._places = [(column, slice(end - len(column.entries), end)) for column, end in zip(self.columns, ends)]
        self._width: int = ends[-1]

    @classmethod
    def restored(cls, schema: Tensor, shift: Tensor, scale: Tensor) -> "TableScaling":
        """The scaling with these buffers.

        Raises:
            ContrastiveError: if the schema is damaged.
        """
        try:
            fields: list[dict[str, Any]] = json.loads(bytes(schema.tolist()).decode())
            return cls([Column.from_dict(field) for field in fields], shift, scale)
        except (ValueError, TypeError, AttributeError) as error:
            raise ContrastiveError(f"the schema of the run is damaged: {' '.join(str(error).split())}") from error

    @classmethod
    def fitted(cls, columns: Sequence[Column], x: Float[Tensor, "n d"], *, standardize: bool = True) -> "TableScaling":
        """The scaling of a schema under which the training rows `x` have mean 0 and standard deviation 1.

        Args:
            columns: the schema.
            x: rows, as `encode` gives them.
            standardize: False leaves shift and scale out.
        """
        plain = cls(columns, torch.zeros(x.shape[1]), torch.ones(x.shape[1]))
        shift, scale = plain.shift.clone(), plain.scale.clone()
        for column, place in plain._places:
            at = place.stop - 1
            if column.is_categorical or column.kind == "circular":
                continue
            there = _is_present(column, x[:, place])
            y = _transformed(column, x[there, at].double())
            mean, sd = (float(y.mean()), float(y.std(correction=0))) if standardize and len(y) else (0.0, 1.0)
            if column.step is not None:  # z is on a grid through 0
                mean = column.origin + column.step * round((mean - column.origin) / column.step)
            shift[at], scale[at] = mean, sd if sd > 0 else 1.0
        return cls(columns, shift, scale)

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Shape of one row: `(d,)`, d entries."""
        return (self._width,)

    @property
    def entries(self) -> list[str]:
        """Names of the entries."""
        return [name for column in self.columns for name in column.entries]

    def place(self, name: str) -> slice:
        """Where the entries of a column are in a row: its state, if it has one, and its value."""
        return next(place for column, place in self._places if column.name == name)

    @property
    def layout(self) -> Layout:
        """What each entry is in model coordinates."""
        found: list[Entry] = []
        for column, place in self._places:
            if column.states > 1:
                found.append(Entry("category", size=column.states))
            step = 0.0 if column.step is None else column.step / float(self.scale[place.stop - 1])
            if column.is_categorical:
                entry = Entry("category", size=column.size, optional=column.states > 1)
            elif column.step is not None:
                entry = Entry("grid", step=step, optional=column.states > 1)
            else:
                entry = Entry("circle" if column.kind == "circular" else "real", optional=column.states > 1)
            found.append(entry)
        return tuple(found)

    def encode(self, table: RawTable, first_row: int = 1) -> Float[Tensor, "n d"]:
        """Rows of a table as they were read; a value is NaN where it is missing and its column never was.

        Raises:
            ContrastiveError: for a value that its column cannot take, such as a category that was not seen.
        """
        parts = [column.encode(table.columns[column.name], first_row) for column in self.columns]
        return torch.from_numpy(np.concatenate(parts, axis=1))

    def encode_array(self, values: Float[NDArray[np.float64], "n columns"]) -> Float[Tensor, "n d"]:
        """As `encode`, of rows of numbers: one for each column, words as codes, NaN where missing."""
        raw = {}
        for column, part in zip(self.columns, values.T):
            if column.has_words:
                part = column.decode(part[:, None]) if _are_codes(part, column.size) else part
                raw[column.name] = RawColumn(part, "words" if part.dtype == object else "numbers")
            else:
                raw[column.name] = RawColumn(part, "truths" if column.kind == "boolean" else "numbers")
        return self.encode(RawTable(raw, None, False, []))

    def decode(self, x: Float[Tensor, "n d"]) -> dict[str, NDArray[Any]]:
        """Columns by name, as they are in the table: words, numbers, NaN or None where missing."""
        rows = x.detach().cpu().double().numpy()
        return {column.name: column.decode(rows[:, place]) for column, place in self._places}

    def forward(self, x: Float[Tensor, "*shape"], dtype: torch.dtype | None = None) -> Float[Tensor, "*shape"]:
        """Model coordinates of `x`, in `dtype`, or the default one."""
        x = x.double()
        z = torch.zeros_like(x)
        for column, place in self._places:
            at, there = place.stop - 1, _is_present(column, x[..., place])
            value = torch.where(there, x[..., at], column.filler)
            if column.states > 1:
                z[..., at - 1] = x[..., at - 1]
            if column.is_categorical:
                own = torch.from_numpy(column.codes(value.detach().cpu().numpy())).to(value)
            elif column.step is not None:
                own = ((value - self.shift[at]) / column.step).round() * (column.step / self.scale[at])
            else:
                own = (_transformed(column, value) - self.shift[at]) / self.scale[at]
            z[..., at] = torch.where(there, own, 0.0)
        return z.to(dtype or torch.get_default_dtype())

    def inverse(self, z: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Rows in the table's units, in float64."""
        z = z.double()
        x = torch.zeros_like(z)
        for column, place in self._places:
            at = place.stop - 1
            if column.states > 1:
                x[..., at - 1] = z[..., at - 1].round()
            if column.is_categorical:
                own = torch.from_numpy(column.of_codes(z[..., at].round().cpu().numpy())).to(z)
            elif column.step is not None:
                own = self.shift[at] + (z[..., at] * self.scale[at] / column.step).round() * column.step
            else:
                own = _restored(column, z[..., at] * self.scale[at] + self.shift[at])
            x[..., at] = torch.where(_is_present(column, x[..., place]), own, _absent(column, x[..., place]))
        return x

    def log_det(self, x: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        """log |dz/dx| of the continuous values that are there, shape `(n,)`: discrete ones have no Jacobian."""
        x = x.double()
        total = torch.zeros(x.shape[:-1], dtype=torch.float64, device=x.device)
        for column, place in self._places:
            if not column.is_discrete:
                at, there = place.stop - 1, _is_present(column, x[..., place])
                value = torch.where(there, x[..., at], column.filler)  # the logarithm of an atom 0 has no slope
                total = total + torch.where(there, _log_slope(column, value) - self.scale[at].log(), 0.0)
        return total

    def has_continuous(self, x: Float[Tensor, "n d"]) -> Bool[Tensor, " n"]:
        """Which rows have a continuous value that is there."""
        found = torch.zeros(len(x), dtype=torch.bool)
        for column, place in self._places:
            if not column.is_discrete:
                found |= _is_present(column, x[:, place])
        return found

    def opened(self, x: Float[Tensor, "n d"]) -> tuple[Float[Tensor, "n d"], Bool[Tensor, "n d"], Float[Tensor, "n d"]]:
        """Encoded rows made ready for a draw of their missing values, given that these are there.

        Returns:
            The rows, with any valid value where one is missing; which entries are known; and of the others the code
            that a draw must not take, that of "missing", else -1.
        """
        x = x.double().clone()
        known, forbidden = torch.ones_like(x, dtype=torch.bool), torch.full_like(x, -1.0)
        for column, place in self._places:
            state, value = place.start, place.stop - 1
            gone = x[:, value].isnan()
            if column.missing:
                gone = gone | (x[:, state] == PRESENT + 1)
            known[gone, value] = False
            x[gone, value] = column.filler
            if column.states > 1:
                x[gone, state] = PRESENT
                known[gone, state] = not column.atoms
                forbidden[gone, state] = PRESENT + 1 if column.missing and column.atoms else -1
        return x, known, forbidden


def _is_present(column: Column, x: Tensor) -> Tensor:
    if column.states == 1:
        return torch.ones(x.shape[:-1], dtype=torch.bool, device=x.device)
    return x[..., 0] == PRESENT


def _absent(column: Column, x: Tensor) -> Tensor:
    """The value's entry where it is not there: the atom, or any valid number."""
    value = torch.full_like(x[..., 0], column.filler)
    for i, atom in enumerate(column.atoms):
        value = torch.where(x[..., 0] == PRESENT + 1 + column.missing + i, atom, value)
    return value


def _transformed(column: Column, value: Tensor) -> Tensor:
    """To the whole line, or to an angle."""
    if column.kind == "positive":
        return value.log()
    if column.kind == "bounded":
        return (value - column.low).log() - (column.high - value).log()
    if column.kind == "circular":
        turns = (value - column.low) / (column.high - column.low)
        return 2 * math.pi * (turns - turns.floor()) - math.pi
    return value


def _restored(column: Column, y: Tensor) -> Tensor:
    if column.kind == "positive":
        return y.exp()
    if column.kind == "bounded":
        return column.low + (column.high - column.low) * y.sigmoid().clamp(_EDGE, 1 - _EDGE)
    if column.kind == "circular":
        turns = (y + math.pi) / (2 * math.pi)
        return column.low + (column.high - column.low) * (turns - turns.floor())
    return y


def _log_slope(column: Column, value: Tensor) -> Tensor:
    """log of the transform's derivative."""
    if column.kind == "positive":
        return -value.log()
    if column.kind == "bounded":
        return math.log(column.high - column.low) - (value - column.low).log() - (column.high - value).log()
    if column.kind == "circular":
        return torch.full_like(value, math.log(2 * math.pi / (column.high - column.low)))
    return torch.zeros_like(value)


def _are_codes(part: NDArray[np.float64], size: int) -> bool:
    there = part[~np.isnan(part)]
    return bool(np.all((there == np.round(there)) & (there >= 0) & (there < size)))
