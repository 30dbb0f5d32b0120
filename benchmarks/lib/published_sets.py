"""The five tables on which flows publish log-densities, split and scaled as Papamakarios et al. (2017) do.

The files are those of the "maf data", https://zenodo.org/records/1161203, below one folder:

| set | files | rows and columns that stay |
|---|---|---|
| power | power/data.npy | shuffled; columns 3 and 1 go; uniform noise of the rounding |
| gas | gas/ethylene_CO.csv or .npy | sensors whose correlations are at most 0.98 |
| hepmass | hepmass/1000_train.csv, 1000_test.csv | signal alone; columns with ties go |
| miniboone | miniboone/data.npy | all |
| bsds300 | BSDS300/BSDS300.hdf5 | all |

gas comes as a pickle, which runs code when it is read and is never opened here: write its table once as CSV with the
column names Time, Meth, Eth and those of the sensors, or as .npy with the columns in that order. In every folder
`train.npy`, `validation.npy` and `test.npy` are taken in the place of these files, as they are.

Reference: Papamakarios et al. (2017), "Masked autoregressive flow for density estimation", appendix D.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contrastive.errors import ContrastiveError

Array = NDArray[np.float64]
ARCHIVE = "https://zenodo.org/records/1161203"
_NOT_SENSORS = ["Time", "Meth", "Eth"]
_MOST_CORRELATED, _MOST_TIES = 0.98, 5


class Splits(NamedTuple):
    """Preprocessed rows, float64, each `(n, d)`."""

    train: Array
    validation: Array
    test: Array


def read_set(name: str, root: Path) -> Splits:
    """The rows of one set.

    Args:
        name: one of `SETS`.
        root: folder that holds the sets' own folders.

    Raises:
        ContrastiveError: if a file is missing, cannot be read without h5py, or has other columns than it should.
    """
    if name not in SETS:
        raise ContrastiveError(f"no set {name!r}: there are {', '.join(SETS)}")
    folder_name, load = SETS[name]
    folder = root / folder_name
    parts = [folder / f"{part}.npy" for part in Splits._fields]
    splits = Splits(*map(_load, parts)) if all(part.exists() for part in parts) else load(folder)
    return Splits(*(np.asarray(part, dtype=np.float64) for part in splits))


def _power(folder: Path) -> Splits:
    random = np.random.RandomState(42)  # the legacy generator: the published split is its
    x = _load(folder / "data.npy")
    random.shuffle(x)
    x = np.delete(x, [1, 3], axis=1)  # reactive power and intensity
    n = len(x)
    _refuse_columns(folder, x, 6)
    # In the order in which the published code draws them: the rounding of the voltage, of the power, of three meters.
    voltage, power, meters = 0.01 * random.rand(n, 1), 0.001 * random.rand(n, 1), random.rand(n, 3)
    return _standardized(_last_tenths(x + np.hstack([power, voltage, meters, np.zeros((n, 1))])))


def _gas(folder: Path) -> Splits:
    table = _sensors(folder)
    while len(table.columns) > 1:
        correlated = (table.corr() > _MOST_CORRELATED).sum(axis=1) > 1  # with itself once
        if not correlated.any():
            break
        table = table.drop(columns=table.columns[int(correlated.to_numpy().argmax())])
    # Scaled by all rows, and by n - 1: so the published figures are.
    return _last_tenths(((table - table.mean()) / table.std()).to_numpy())


def _sensors(folder: Path) -> pd.DataFrame:
    if (folder / "ethylene_CO.csv").exists():
        table = pd.read_csv(folder / "ethylene_CO.csv")
        missing = [name for name in _NOT_SENSORS if name not in table.columns]
        if missing:
            raise ContrastiveError(
                f"{folder / 'ethylene_CO.csv'} has no column {missing[0]}: its first line names them"
            )
        return table.drop(columns=_NOT_SENSORS)
    if (folder / "ethylene_CO.npy").exists():
        return pd.DataFrame(_load(folder / "ethylene_CO.npy")[:, len(_NOT_SENSORS) :])
    if (folder / "ethylene_CO.pickle").exists():
        raise ContrastiveError(
            f"{folder / 'ethylene_CO.pickle'} is a pickle, which is not opened as it can run code: write its table as "
            "ethylene_CO.csv beside it"
        )
    raise _missing(folder / "ethylene_CO.csv")


def _hepmass(folder: Path) -> Splits:
    train, test = (_signal(folder / f"1000_{part}.csv") for part in ("train", "test"))
    test = test[:, : train.shape[1]]  # lines of the test file have one entry too many
    shift, scale = train.mean(0), train.std(0, ddof=1)
    train, test = (train - shift) / scale, (test - shift) / scale
    # As published: by how often the smallest value occurs, not the most frequent one.
    continuous = [j for j, column in enumerate(train.T) if (column == column.min()).sum() <= _MOST_TIES]
    train, test = train[:, continuous], test[:, continuous]
    kept = len(train) - int(0.1 * len(train))
    return Splits(train[:kept], train[kept:], test)


def _signal(path: Path) -> Array:
    """Rows of class 1, without the column of the class."""
    if not path.exists():
        raise _missing(path)
    table = pd.read_csv(path, index_col=False)
    return table[table.iloc[:, 0] == 1].iloc[:, 1:].to_numpy(dtype=np.float64)


def _miniboone(folder: Path) -> Splits:
    return _standardized(_last_tenths(_load(folder / "data.npy")))


def _bsds300(folder: Path) -> Splits:
    path = folder / "BSDS300.hdf5"
    if not path.exists():
        raise _missing(path)
    try:
        import h5py
    except ImportError as error:
        raise ContrastiveError(
            f"{path} takes h5py to read: pip install h5py, or give train.npy, validation.npy and test.npy beside it"
        ) from error
    with h5py.File(path, "r") as file:
        return Splits(*(np.asarray(file[part][:]) for part in Splits._fields))


def _load(path: Path) -> Array:
    if not path.exists():
        raise _missing(path)
    return np.asarray(np.load(path), dtype=np.float64)  # numpy refuses pickled objects


def _missing(path: Path) -> ContrastiveError:
    return ContrastiveError(f"{path} is not there: it is one of the maf data, {ARCHIVE}")


def _refuse_columns(folder: Path, x: Array, columns: int) -> None:
    if x.shape[1] != columns:
        raise ContrastiveError(f"{folder} gives {x.shape[1]} columns where {columns} are expected: is it the maf data?")


def _last_tenths(x: Array) -> Splits:
    """The last tenth of the rows for test, the last tenth of the others for validation."""
    rest = len(x) - int(0.1 * len(x))
    train = rest - int(0.1 * rest)
    return Splits(x[:train], x[train:rest], x[rest:])


def _standardized(splits: Splits) -> Splits:
    """Scaled by training and validation rows."""
    both = np.vstack([splits.train, splits.validation])
    shift, scale = both.mean(0), both.std(0)
    return Splits(*((part - shift) / scale for part in splits))


#: Folder and loader of each set.
SETS: dict[str, tuple[str, Callable[[Path], Splits]]] = {
    "power": ("power", _power),
    "gas": ("gas", _gas),
    "hepmass": ("hepmass", _hepmass),
    "miniboone": ("miniboone", _miniboone),
    "bsds300": ("BSDS300", _bsds300),
}
