"""One column of a table as it is: its kind, its support, and the way of its values into entries and back."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from contrastive.data.tables.raw import RawColumn
from contrastive.errors import ContrastiveError, did_you_mean

Kind: TypeAlias = Literal["continuous", "integer", "category", "boolean", "date", "bounded", "positive", "circular"]
KINDS: tuple[Kind, ...] = get_args(Kind)
#: Code of the state "the value is there"; a missing value is 1 where the column has some, atoms come after.
PRESENT = 0
_OFF_GRID = 0.02  # of a step
_TRUTHS = {"false": 0.0, "true": 1.0}


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: of the column.
        kind: "continuous", "integer" (whole multiples of `step`, counted from `origin`), "category", "boolean", "date"
            (days since 1970-01-01), "bounded" (between `low` and `high`), "positive" or "circular" (`low` is `high`).
        values: of a category, words or numbers, in the order of their codes.
        low: of a bounded or circular column.
        high: likewise.
        step: of integers, and of dates that are whole days; None where values are continuous.
        origin: of the steps.
        missing: whether values are missing.
        atoms: single values that have a mass of their own among continuous ones, such as 0.
    """

    name: str
    kind: Kind
    values: tuple[str | float, ...] = ()
    low: float = 0.0
    high: float = 0.0
    step: float | None = None
    origin: float = 0.0
    missing: bool = False
    atoms: tuple[float, ...] = ()

    @property
    def is_categorical(self) -> bool:
        """Whether its values are codes."""
        return self.kind in ("category", "boolean")

    @property
    def is_discrete(self) -> bool:
        """Whether densities are with respect to counting measure."""
        return self.is_categorical or self.step is not None

    @property
    def has_words(self) -> bool:
        """Whether it is a category of words."""
        return self.kind == "category" and any(isinstance(value, str) for value in self.values)

    @property
    def size(self) -> int:
        """Number of codes of a category."""
        return 2 if self.kind == "boolean" else len(self.values)

    @property
    def states(self) -> int:
        """States of an entry: its value is there, it is missing, or it is one of the atoms."""
        return 1 + self.missing + len(self.atoms)

    @property
    def entries(self) -> list[str]:
        """Names of its entries in an event: its state where there are several, and its value."""
        return [f"{self.name} (state)", self.name] if self.states > 1 else [self.name]

    @property
    def filler(self) -> float:
        """The value of the entry where the value is missing: any that is valid will do, and it is never seen."""
        if self.is_categorical:
            return float(self.of_codes(np.zeros(1))[0])
        if self.step is not None:
            return self.origin
        return {"positive": 1.0, "bounded": (self.low + self.high) / 2, "circular": self.low}.get(self.kind, 0.0)

    def encode(self, raw: RawColumn, first_row: int = 1) -> Float[NDArray[np.float64], "n entries"]:
        """The values as entries: the state, where there are several, and the value, words as codes.

        A value that is missing where the column has none is NaN.

        Args:
            raw: as it was read.
            first_row: number of its first row, for messages.

        Raises:
            ContrastiveError: naming the first value that the column cannot take, and its row.
        """
        x = self._numbers(raw, first_row)
        gone = np.isnan(x)
        state = np.where(gone, float(PRESENT + 1), float(PRESENT))
        for i, atom in enumerate(self.atoms):
            state[x == atom] = PRESENT + 1 + self.missing + i
        self._refuse(raw, x, ~gone & (state == PRESENT), first_row)
        if self.kind == "circular":
            x = self.low + np.mod(x - self.low, self.high - self.low)
        if self.states == 1:
            return x[:, None]
        if not self.missing:
            state[gone] = PRESENT
        x = np.where(gone & self.missing, self.filler, x)
        return np.stack([state, x], axis=1)

    def decode(self, x: Float[NDArray[np.float64], "n entries"]) -> NDArray[Any]:
        """The inverse of `encode`: numbers with NaN where missing, or words (or truths) with None."""
        value = x[:, -1]
        gone = np.isnan(value)
        if self.states > 1:
            state = x[:, 0].round()
            gone = gone | (self.missing & (state == PRESENT + 1))
            for i, atom in enumerate(self.atoms):
                value = np.where(state == PRESENT + 1 + self.missing + i, atom, value)
        if self.step is not None:  # as it is written: 46.4, not 46.400000000000006
            value = np.round(value, max(0, 9 - math.floor(math.log10(self.step))))
        if not (self.has_words or self.kind == "boolean"):
            return np.where(gone, np.nan, value)
        names = np.array([False, True] if self.kind == "boolean" else list(self.values), dtype=object)
        words = names[np.where(gone, 0, value).astype(int)]
        words[gone] = None
        return words

    def codes(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Codes of a category's values, 0 to K - 1; words and truths are codes already."""
        if self.has_words or self.kind == "boolean":
            return x
        return np.searchsorted(np.array(self.values, dtype=float), x).clip(0, len(self.values) - 1).astype(float)

    def of_codes(self, codes: NDArray[np.float64]) -> NDArray[np.float64]:
        """The inverse of `codes`."""
        if self.has_words or self.kind == "boolean":
            return codes
        return np.array(self.values, dtype=float)[codes.astype(int).clip(0, len(self.values) - 1)]

    def to_dict(self) -> dict[str, Any]:
        """For JSON; fields that have their default are left out."""
        plain = Column(self.name, self.kind)
        return {
            key: value for key, value in asdict(self).items() if key in ("name", "kind") or value != asdict(plain)[key]
        }

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Column":
        """The inverse of `to_dict`."""
        given: dict[str, Any] = {key: tuple(each) if isinstance(each, list) else each for key, each in fields.items()}
        return cls(**given)

    def _numbers(self, raw: RawColumn, first_row: int) -> NDArray[np.float64]:
        """Values as float64, words as codes, NaN where missing.

        Raises:
            ContrastiveError: for words where numbers are expected, or the other way round, and unseen categories.
        """
        if self.has_words or self.kind == "boolean":
            return self._coded(raw, first_row)
        if raw.is_text:
            row = next(i for i, word in enumerate(raw.values) if word is not None)
            raise ContrastiveError(
                f"column {self.name!r} is {self._article}, and row {row + first_row} has {raw.values[row]!r}: name it "
                "with --data.categorical, or mend the value"
            )
        x = raw.values.astype(np.float64)
        infinite = np.isinf(x)
        if infinite.any():
            raise ContrastiveError(
                f"column {self.name!r}, row {int(infinite.argmax()) + first_row}: an infinite value; remove it"
            )
        return x

    def _coded(self, raw: RawColumn, first_row: int) -> NDArray[np.float64]:
        if self.kind == "boolean" and not raw.is_text:
            x = raw.values.astype(np.float64)
            wrong = ~np.isnan(x) & (x != 0) & (x != 1)
            if wrong.any():
                row = int(wrong.argmax())
                raise ContrastiveError(f"column {self.name!r}, row {row + first_row}: {x[row]:g} is not true or false")
            return x
        known = _TRUTHS if self.kind == "boolean" else {word: float(code) for code, word in enumerate(self.values)}
        words = raw.words()
        x = np.full(len(words), np.nan)
        for i, word in enumerate(words):
            if word is None:
                continue
            key = word.casefold() if self.kind == "boolean" else word
            if key not in known:
                raise _unseen(self.name, word, i + first_row, map(str, known))
            x[i] = known[key]
        return x

    def _refuse(self, raw: RawColumn, x: NDArray[np.float64], there: NDArray[np.bool_], first_row: int) -> None:
        """Refuse values outside of the support."""
        bad, why = np.zeros(len(x), dtype=bool), ""
        with np.errstate(invalid="ignore"):
            if self.kind == "category" and not self.has_words:
                bad = there & ~np.isin(x, np.array(self.values, dtype=float))
                if bad.any():
                    row = int(bad.argmax())
                    raise _unseen(self.name, f"{x[row]:g}", row + first_row, [f"{value:g}" for value in self.values])
            elif self.step is not None:
                steps = (x - self.origin) / self.step
                bad = there & (np.abs(steps - np.round(steps)) > _OFF_GRID)
                why = "is no whole number" if self.step == 1 else f"is no multiple of the step {self.step:g}"
            elif self.kind == "positive":
                bad, why = there & (x <= 0), "is not positive"
            elif self.kind == "bounded":
                bad, why = (
                    there & ((x <= self.low) | (x >= self.high)),
                    f"is not between {self.low:g} and {self.high:g}",
                )
            elif self.kind == "circular":
                bad, why = there & ((x < self.low) | (x > self.high)), f"is not within {self.low:g} to {self.high:g}"
        if bad.any():
            row = int(bad.argmax())
            raise ContrastiveError(
                f"column {self.name!r} is {self._article}, but {x[row]:g} in row {row + first_row} {why}: correct the "
                f"kind (contrastive schema shows it), or the value"
            )

    @property
    def _article(self) -> str:
        return {
            "category": "a category of numbers",
            "integer": "of whole numbers" if self.step == 1 else "rounded",
        }.get(self.kind, self.kind)


def _unseen(name: str, value: str, row: int, known: Any) -> ContrastiveError:
    return ContrastiveError(
        f"column {name!r}, row {row}: the category {value!r} was not seen in training; {did_you_mean(value, known)}"
    )


def grid_of(values: NDArray[np.float64], step: float, origin: float) -> bool:
    """Whether all values are whole steps from the origin."""
    steps = (values - origin) / step
    return bool(np.abs(steps - np.round(steps)).max(initial=0.0) < _OFF_GRID) and math.isfinite(step)
