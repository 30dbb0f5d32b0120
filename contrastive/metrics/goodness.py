"""Goodness of fit: held-out data against samples of the model."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from contrastive.errors import ContrastiveError
from contrastive.metrics.two_sample import ClassifierTest, Matrix, TailTest, classifier_test, marginal_test, tail_test

#: Shares of the quantiles that are compared.
QUANTILES = (0.001, 0.01, 0.99, 0.999)
#: Of data and of samples.
FEWEST_ROWS = 20
_FEW_ROWS = 200
_MOST_ROWS = 4_000
_TESTS = 3  # kinds: classifier, marginals, tails
_NAMED = 3  # columns in a sentence


@dataclass(frozen=True)
class ColumnFit:
    """One column of the data against the same of the samples.

    Attributes:
        name: of the column.
        distance: largest distance of the two empirical distribution functions (Kolmogorov-Smirnov), 0 to 1: how far
            the probability-integral transform is from uniform.
        p_value: of the uniformity of that transform, for this column alone.
        lower_tail: data among the smallest 1 % of the pooled rows.
        upper_tail: data among the largest 1 %.
        data_quantiles: of `QUANTILES`, in units of the column; None where that is less than one row.
        sample_quantiles: the same of the samples.
    """

    name: str
    distance: float
    p_value: float
    lower_tail: TailTest
    upper_tail: TailTest
    data_quantiles: tuple[float | None, ...]
    sample_quantiles: tuple[float | None, ...]


@dataclass(frozen=True)
class Goodness:
    """Tests of data against samples of a model; see `goodness_of_fit`.

    Attributes:
        rows: of the data.
        samples: of the model.
        level: false-alarm rate of the verdict, all tests together.
        classifier: the classifier two-sample test on whole rows.
        columns: the marginal distributions and their tails.
    """

    rows: int
    samples: int
    level: float
    classifier: ClassifierTest
    columns: tuple[ColumnFit, ...]

    @property
    def differences(self) -> list[str]:
        """What the tests reject, a clause each; empty if nothing is."""
        found, share = [], self.level / _TESTS
        if self.classifier.p_value <= share:
            auc, p = self.classifier
            found.append(f"a classifier tells them apart (AUC {auc:.3f}, 0.5 by chance; p = {p:.2g})")
        count = len(self.columns)
        off = [column for column in self.columns if column.p_value <= share / count]
        if off:
            worst = sorted(off, key=lambda column: column.p_value)
            found.append(f"the distribution of {_listed([column.name for column in worst])} is off")
        return found + [text for text in self._tails(share / (2 * count)) if text]

    @property
    def is_good(self) -> bool:
        """Whether no test rejects."""
        return not self.differences

    @property
    def verdict(self) -> str:
        """The result in one sentence."""
        pair = f"{self.rows:,} held-out rows and {self.samples:,} samples of the model"
        if differences := self.differences:
            return f"The model is wrong somewhere, by {pair} (level {100 * self.level:g} %): {'; '.join(differences)}."
        few = "; with so few rows only large differences would show" if min(self.rows, self.samples) < _FEW_ROWS else ""
        return (
            f"No difference was found between {pair} (level {100 * self.level:g} %; classifier AUC "
            f"{self.classifier.auc:.3f}, p = {self.classifier.p_value:.2g}){few}."
        )

    def to_dict(self) -> dict[str, Any]:
        """Every figure and the verdict, for JSON."""
        columns = []
        for column in self.columns:
            tails = {"lower_tail": column.lower_tail._asdict(), "upper_tail": column.upper_tail._asdict()}
            columns.append({**asdict(column), **tails})
        return {
            "verdict": self.verdict,
            "differences": self.differences,
            "level": self.level,
            "rows": self.rows,
            "samples": self.samples,
            "classifier": self.classifier._asdict(),
            "quantiles": list(QUANTILES),
            "columns": columns,
        }

    def _tails(self, level: float) -> list[str]:
        """Columns whose samples reach too far out, or not far enough."""
        tails = [(column.name, tail) for column in self.columns for tail in (column.lower_tail, column.upper_tail)]
        off = [(name, tail) for name, tail in tails if tail.p_value <= level]
        light = list(dict.fromkeys(name for name, tail in off if tail.found > tail.expected))
        heavy = list(dict.fromkeys(name for name, tail in off if tail.found < tail.expected))
        return [
            f"the model's tails are too {word} in {_listed(names)}"
            for word, names in (("light", light), ("heavy", heavy))
            if names
        ]


def goodness_of_fit(
    data: Float[Tensor, "n *event"],
    samples: Float[Tensor, "m ..."],
    columns: Sequence[str] | None = None,
    *,
    level: float = 0.05,
    seed: int = 0,
) -> Goodness:
    """Test whether data and samples of a model could come from one distribution.

    Three kinds of test share the level equally (Bonferroni): a classifier on whole rows, Kolmogorov-Smirnov on every
    column, and counts in both tails of every column. On equal distributions and independent rows the verdict is a false
    alarm at a rate of at most `level`. At most 4,000 rows of each, evenly spaced, are used.

    Args:
        data: held-out rows, in the units of the samples.
        samples: independent draws of the model, or thinned ones of a Markov chain.
        columns: names of the entries of a row, flattened; x0, x1, ... by default.
        level: false-alarm rate, in (0, 1).
        seed: of the classifier test.

    Raises:
        ContrastiveError: if either has fewer than 20 rows or a value that is not finite, their columns differ, or the
            level is no probability.

    Example:
        >>> import torch
        >>> data, samples = torch.randn(2, 500, 3, generator=torch.Generator().manual_seed(0))
        >>> goodness_of_fit(data, samples).is_good, goodness_of_fit(data, 1.5 * samples).is_good
        (True, False)
    """
    if not 0 < level < 1:
        raise ContrastiveError(f"the level of a goodness-of-fit test must be between 0 and 1, got {level}; take 0.05")
    x, y = _rows(data, "data"), _rows(samples, "samples")
    if x.shape[1] != y.shape[1]:
        raise ContrastiveError(f"the data have {x.shape[1]} columns and the samples {y.shape[1]}")
    names = list(columns) if columns else [f"x{i}" for i in range(x.shape[1])]
    if len(names) != x.shape[1]:
        raise ContrastiveError(f"{len(names)} names for {x.shape[1]} columns")
    fits = tuple(_column(name, x[:, i], y[:, i]) for i, name in enumerate(names))
    return Goodness(len(x), len(y), level, classifier_test(x, y, seed=seed), fits)


def _column(name: str, x: Matrix, y: Matrix) -> ColumnFit:
    distance, p_value = marginal_test(x, y)
    lower, upper = (tail_test(x, y, upper=side) for side in (False, True))
    return ColumnFit(name, distance, p_value, lower, upper, _quantiles(x), _quantiles(y))


def _quantiles(x: Matrix) -> tuple[float | None, ...]:
    return tuple(float(np.quantile(x, q)) if len(x) * min(q, 1 - q) >= 0.999 else None for q in QUANTILES)


def _rows(x: Tensor, what: str) -> Matrix:
    rows = x.detach().cpu().double().flatten(1).numpy()
    if len(rows) < FEWEST_ROWS:
        raise ContrastiveError(
            f"a goodness-of-fit test needs at least {FEWEST_ROWS} rows; the {what} have {len(rows)}: give more"
        )
    if not np.isfinite(rows).all():
        raise ContrastiveError(f"the {what} have values that are not finite: leave those rows out")
    if len(rows) > _MOST_ROWS:
        rows = rows[np.linspace(0, len(rows) - 1, _MOST_ROWS).round().astype(int)]
    return rows


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_NAMED])
    more = len(names) - _NAMED
    return f"{shown} and {more} more" if more > 0 else shown
