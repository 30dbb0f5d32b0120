"""Where training batches come from. A stream is a function of (seed, position), so a run resumes where it stopped."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from contrastive.data.scaling import Scaling
from contrastive.errors import ContrastiveError
from contrastive.numerics.row_weights import rows_by_weight
from contrastive.protocols import NoiseModel


class Labelled(NamedTuple):
    """Rows whose class is known, in model coordinates; -1 in y is a row that has none after all."""

    z: Float[Tensor, "m *event"]
    y: Int[Tensor, " m"]


class Batch(NamedTuple):
    """A step's data.

    Attributes:
        z: in model coordinates.
        fixed: the part of the log-ratio there that no update of the energy changes, where it is known already.
        y: labels, -1 where unknown; None where no row has one.
        labelled: a batch apart, of labelled rows alone, where the run learns classes.
    """

    z: Float[Tensor, "n *event"]
    fixed: Float[Tensor, " n"] | None = None
    y: Int[Tensor, " n"] | None = None
    labelled: Labelled | None = None

    def parts(self, count: int) -> "list[Batch]":
        """`count` parts of nearly equal size, fewer where there are fewer points; each has all of `labelled`."""
        if count == 1:
            return [self]
        sizes = [len(rows) for rows in torch.arange(len(self.z)).tensor_split(min(count, len(self.z)))]
        columns = [[None] * len(sizes) if field is None else field.split(sizes) for field in (self.fixed, self.y)]
        return [Batch(z, fixed, y, self.labelled) for z, fixed, y in zip(self.z.split(sizes), *columns)]


class Source(Protocol):
    """An endless stream of batches."""

    def batches(self, batch_size: int, seed: int, start: int) -> Iterator[Batch]:
        """The stream from its `start`-th batch on, every batch full."""
        ...

    def cache(self, score: Callable[[Tensor], Tensor]) -> None:
        """Told that `score` of a row never changes from now on: a source that repeats its rows may keep it."""
        ...


class ArraySource:
    """Rows in memory, in a new random order every epoch; weighted ones are drawn by weight.

    A batch is then one of the weighted empirical distribution, and whatever learns from it needs to know nothing of
    weights: likelihood, every objective, c, further terms of the loss, schedules. Weights in the loss of a batch of
    equally likely rows would have the same expectation, but not its variance: of weights (1, 1000) most batches would
    hold one row that counts. (For a loop of one's own `Estimator.contrast` takes weights.)

    Args:
        z: all rows, in model coordinates.
        y: their labels, -1 where unknown.
        sample_weight: how often each row counts, up to a common factor, positive; equal if None. See `row_stream`.
    """

    def __init__(
        self,
        z: Float[Tensor, "n *event"],
        y: Int[Tensor, " n"] | None = None,
        sample_weight: Float[Tensor, " n"] | None = None,
    ) -> None:
        self.z, self.y, self.sample_weight = z, y, sample_weight
        self.fixed: Tensor | None = None

    def batches(self, batch_size: int, seed: int, start: int) -> Iterator[Batch]:
        """Full batches; the stream runs on across epochs."""
        for rows in row_stream(len(self.z), batch_size, seed, start, self.sample_weight):
            rows = rows.to(self.z.device)
            fixed, y = (None if kept is None else kept[rows] for kept in (self.fixed, self.y))
            yield Batch(self.z[rows], fixed, y)

    def cache(self, score: Callable[[Tensor], Tensor]) -> None:
        """Keep the score of every row."""
        self.fixed = torch.cat([score(part) for part in self.z.split(65_536)])


class DensitySource:
    """Fresh draws of a density every step, from torch's global random generator."""

    def __init__(self, density: NoiseModel, scaling: Scaling, device: torch.device) -> None:
        self.density, self.scaling, self.device = density, scaling, device

    def batches(self, batch_size: int, seed: int, start: int) -> Iterator[Batch]:
        """Draws; the generator's state, which a checkpoint holds, is the position."""
        while True:
            yield Batch(self.scaling(self.density.sample(torch.Size([batch_size])).to(self.device)))

    def cache(self, score: Callable[[Tensor], Tensor]) -> None:
        """No row comes twice."""


class DatasetSource:
    """A map-style `torch.utils.data.Dataset`, which need not fit in memory; items are events or (event, ...) tuples."""

    def __init__(self, dataset: Dataset[Any], scaling: Scaling, device: torch.device, num_workers: int = 0) -> None:
        self.dataset, self.scaling, self.device, self.num_workers = dataset, scaling, device, num_workers

    def batches(self, batch_size: int, seed: int, start: int) -> Iterator[Batch]:
        """Full batches through a `DataLoader`, in a new random order every epoch."""
        order = _RowStream(len(self.dataset), batch_size, seed, start)  # type: ignore[arg-type]
        loader = DataLoader(
            self.dataset,
            batch_sampler=order,
            num_workers=self.num_workers,
            generator=torch.Generator().manual_seed(seed),  # else every loader eats one number of the global stream
        )
        for item in loader:
            x = item[0] if isinstance(item, list | tuple) else item
            yield Batch(self.scaling(x.to(self.device)))

    def rows(self, rows: Int[Tensor, " m"]) -> Float[Tensor, "m *event"]:
        """Items by number, in model coordinates."""
        return self.scaling(dataset_rows(self.dataset, rows).to(self.device))

    def cache(self, score: Callable[[Tensor], Tensor]) -> None:
        """Rows are read again each epoch; their scores are not kept."""


def dataset_rows(dataset: Dataset[Any], rows: Iterable[Any]) -> Float[Tensor, "m *event"]:
    """The events of a map-style dataset's items of these numbers."""
    items = (dataset[int(row)] for row in rows)
    return torch.stack([torch.as_tensor(item[0] if isinstance(item, list | tuple) else item) for item in items])


def row_stream(
    n: int, batch_size: int, seed: int, start: int, sample_weight: Float[Tensor, " n"] | None = None
) -> Iterator[Tensor]:
    """Row indices of batch `start`, `start + 1`, ...: one random permutation of the `n` rows after the other.

    With weights w an epoch has n rows too, in random order: row i floor or ceil(n w_i / sum w) times, and that many on
    average (`rows_by_weight` with a random offset).
    """
    weights = None if sample_weight is None else sample_weight.cpu()
    if n < batch_size:
        raise ContrastiveError(f"{n} rows are fewer than a batch of {batch_size}; take --batch-size {n} or less")
    position = start * batch_size
    epoch, left = -1, torch.empty(0, dtype=torch.long)
    while True:
        rows = []
        missing = batch_size
        while missing:
            if position // n != epoch:
                epoch = position // n
                order = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
                left = _epoch(n, order, weights)[position % n :]
            taken, left = left[:missing], left[missing:]
            rows.append(taken)
            position, missing = position + len(taken), missing - len(taken)
        yield torch.cat(rows)


def _epoch(n: int, order: torch.Generator, weights: Tensor | None) -> Tensor:
    permutation = torch.randperm(n, generator=order)
    if weights is None:
        return permutation
    offset = float(torch.rand((), dtype=torch.float64, generator=order))
    return rows_by_weight(weights, n, offset)[permutation]


class _RowStream(Sampler[list[int]]):
    def __init__(self, n: int, batch_size: int, seed: int, start: int) -> None:
        self.arguments = (n, batch_size, seed, start)

    def __iter__(self) -> Iterator[list[int]]:
        return (rows.tolist() for rows in row_stream(*self.arguments))
