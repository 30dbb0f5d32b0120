"""Real tables for the benchmarks: names, reading, dequantisation, and the rows that judge.

Read are the tables that scikit-learn ships and, below a data root, `tables/small/NAME.csv`, `tables/NAME/data.csv.gz`
(no header) and `tables/NAME.parquet`. Of each the numeric columns that vary, rows without gaps.

A column with ties has no density, and one that follows from others has an infinite one: both would be won by whatever
model is the narrowest. So dependent columns are left out, and ties are spread over their rounding step, of test rows
too, before anything sees them: the same rows for all methods. The library's own setting for ties finds none then.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from sklearn import datasets
from torch import Tensor

from contrastive.config import configure
from contrastive.data.preparation import prepare
from contrastive.data.preparation.ties import find_ties, spread
from contrastive.errors import ContrastiveError

SHIPPED = {
    "iris": datasets.load_iris,
    "wine-cultivars": datasets.load_wine,
    "diabetes": datasets.load_diabetes,
    "breast-cancer": datasets.load_breast_cancer,
}
#: Tables on which settings of the library were developed: figures there are no proof.
DEVELOPED = ("wine-cultivars", "wine", "quakes", "diamonds5k", "protein", "seattle_weather", "galaxies", "energy")
_DEPENDENT = 1e-9
_SEED = 1_000_006  # of the dequantisation and of the rows that are kept: the same for every split


@dataclass(frozen=True)
class RealTable:
    """A table as every method gets it.

    Attributes:
        frame: `(n, d)`, float64, in the table's own units.
        dequantized: columns whose ties are spread.
        dropped: columns left out because they depend linearly on earlier ones.
    """

    frame: pd.DataFrame
    dequantized: tuple[str, ...]
    dropped: tuple[str, ...]


@dataclass(frozen=True)
class Split:
    """Rows of one split, in the table's own units.

    Attributes:
        fitting: training and validation rows of the library, float64: all that a rival may use.
        test: rows that chose nothing, as the library holds them out.
    """

    fitting: NDArray[np.float64]
    test: Float[Tensor, "t d"]


def table_names(data_root: Path | None) -> list[str]:
    """Names of the tables that can be read."""
    names = set(SHIPPED)
    if data_root is not None:
        root = data_root / "tables"
        names |= {path.stem for path in [*root.glob("small/*.csv"), *root.glob("*.parquet")]}
        names |= {path.parent.name for path in root.glob("*/data.csv.gz")}
    return sorted(names)


@lru_cache(maxsize=4)
def read_table(name: str, data_root: Path | None, most: int) -> RealTable:
    """A table without gaps, ties and dependent columns; at most `most` rows, the same ones for every split.

    Raises:
        ContrastiveError: if there is no such table, or it has no numbers.
    """
    numbers = _read(name, data_root).select_dtypes("number").dropna().astype(np.float64)
    numbers.columns = [str(column) for column in numbers.columns]
    numbers = numbers.loc[:, numbers.std() > 0]
    if numbers.empty:
        raise ContrastiveError(f"{name} has no numeric column that varies; a data.csv.gz has no header")
    dropped = dependent_columns(numbers.to_numpy())
    independent = numbers.drop(columns=numbers.columns[dropped])
    x = independent.to_numpy()
    without_ties = dequantized(x, torch.Generator().manual_seed(_SEED))
    kept = np.random.default_rng(_SEED).permutation(len(x))[:most]
    changed = independent.columns[(without_ties != x).any(0)]
    return RealTable(
        pd.DataFrame(without_ties[kept], columns=independent.columns),
        dequantized=tuple(changed),
        dropped=tuple(numbers.columns[dropped]),
    )


def _read(name: str, data_root: Path | None) -> pd.DataFrame:
    if name in SHIPPED:
        return SHIPPED[name](as_frame=True).data
    if data_root is None:
        raise ContrastiveError(f"{name} is none of scikit-learn's tables ({', '.join(SHIPPED)}): give --data-root")
    root = data_root / "tables"
    if (root / "small" / f"{name}.csv").exists():
        return pd.read_csv(root / "small" / f"{name}.csv")
    if (root / name / "data.csv.gz").exists():
        return pd.read_csv(root / name / "data.csv.gz", header=None).add_prefix("x")
    if (root / f"{name}.parquet").exists():
        return pd.read_parquet(root / f"{name}.parquet")
    raise ContrastiveError(f"no table {name!r} below {root}: there are {', '.join(table_names(data_root))}")


def dequantized(x: NDArray[np.float64], generator: torch.Generator) -> NDArray[np.float64]:
    """`x`, with the values of columns with ties spread uniformly over their rounding step, by the library's rule."""
    return spread(x, {column: tie.step for column, tie in find_ties(x).items()}, generator)


def dependent_columns(x: NDArray[np.float64]) -> list[int]:
    """Numbers of the columns whose variance is explained by earlier ones, but for a share of 1e-9."""
    basis, found = np.empty((len(x), 0)), []
    for number, column in enumerate(x.T):
        rest = column - column.mean()
        norm = np.linalg.norm(rest)
        for _ in range(2):  # once more: one projection leaves what rounding adds
            rest = rest - basis @ (basis.T @ rest)
        if np.linalg.norm(rest) ** 2 < _DEPENDENT * norm**2:
            found.append(number)
        else:
            basis = np.column_stack([basis, rest / np.linalg.norm(rest)])
    return found


def split_table(frame: pd.DataFrame, seed: int) -> Split:
    """The rows that `contrastive.fit(frame, seed=seed)` holds out for its figures, and all others."""
    data = prepare(frame, configure(seed=seed))
    training = data.scaling.inverse(data.fitting)
    return Split(torch.cat([training, data.validation.double()]).numpy(), data.test)


def mark(name: str) -> str:
    """The name, with a star where settings were developed on the table."""
    return f"{name}*" if name in DEVELOPED else name


def standardized(x: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Rows with mean 0 and standard deviation 1 in every column; the shift, and the scale, each `(d,)`."""
    shift, scale = x.mean(0), x.std(0)
    return (x - shift) / scale, shift, scale


def known(names: Sequence[str], data_root: Path | None) -> list[str]:
    """`names`, all of which can be read.

    Raises:
        ContrastiveError: naming the first that cannot.
    """
    there = table_names(data_root)
    for name in names:
        if name not in there:
            raise ContrastiveError(f"no table {name!r}: there are {', '.join(there)}")
    return list(names)
