"""Sources: the order of rows, and what a batch holds."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import TensorDataset

from contrastive import fit, make_noise
from contrastive.data.images import ImageSet, ImageSource, PixelScaling
from contrastive.data.scaling import Scaling
from contrastive.data.sources import ArraySource, DatasetSource, row_stream

N, BATCH = 23, 5
ROWS = torch.arange(float(N))[:, None]
SOURCES = {
    "array": lambda: ArraySource(ROWS),
    "dataset": lambda: DatasetSource(TensorDataset(ROWS), Scaling.identity((1,)), torch.device("cpu")),
    "images": lambda: ImageSource(ImageSet(np.arange(N, dtype=np.uint8).reshape(N, 1, 1, 1)), PixelScaling((1, 1, 1))),
}
of_every_source = pytest.mark.parametrize("make_source", SOURCES.values(), ids=SOURCES)


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 50))
def test_every_epoch_holds_every_row_once_and_the_stream_can_start_anywhere(n, batch_size, start):
    batch_size = min(n, batch_size)
    whole = torch.cat(list(itertools.islice(row_stream(n, batch_size, 7, 0), start + n + 3)))
    for epoch in whole[: len(whole) // n * n].split(n):
        assert epoch.sort().values.tolist() == list(range(n))
    late = torch.cat(list(itertools.islice(row_stream(n, batch_size, 7, start), n + 3)))
    assert torch.equal(late, whole[start * batch_size :])


def order_of(source, seed=0, start=0, count=4 * N):
    """The numbers of the first rows that are drawn from batch `start` on."""
    drawn = itertools.islice(source.batches(BATCH, seed, start), -(-count // BATCH))
    z = torch.cat([batch.z for batch in drawn])[:count]
    x = source.scaling.inverse(z) if isinstance(source, ImageSource) else z
    return x.flatten().floor().long().tolist()


@of_every_source
def test_every_epoch_shows_all_rows_once_in_an_order_of_its_own(make_source):
    order = order_of(make_source())
    epochs = [order[start : start + N] for start in range(0, len(order), N)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(N))] * 4
    assert len({tuple(epoch) for epoch in [range(N), *epochs]}) == 5


@of_every_source
def test_the_order_is_that_of_the_seed_from_any_place_in_an_epoch_on(make_source):
    """Batch 7 begins at row 12 of the second epoch."""
    order = order_of(make_source())
    torch.rand(3)  # the global generator has no say
    assert order_of(make_source(), start=7, count=4 * N - 7 * BATCH) == order[7 * BATCH :]
    assert order_of(make_source(), seed=1) != order


def test_a_held_noise_scores_rows_once():
    z, noise = torch.randn(20, 2), make_noise("gaussian", event_shape=(2,))
    source = ArraySource(z)
    source.cache(noise.log_prob)
    batch = next(source.batches(8, 0, 3))
    torch.testing.assert_close(batch.fixed, noise.log_prob(batch.z))


def test_a_dataset_streams_the_rows_of_the_array():
    z = torch.randn(20, 2)
    identity = Scaling.identity((2,))
    from_array_ = itertools.islice(ArraySource(z).batches(6, 5, 2), 8)
    from_dataset = itertools.islice(DatasetSource(TensorDataset(z), identity, torch.device("cpu")).batches(6, 5, 2), 8)
    for a, b in zip(from_array_, from_dataset):
        torch.testing.assert_close(a.z, b.z)


def test_workers_change_no_figure():
    data, settings = TensorDataset(torch.randn(200, 2)), {"steps": 5, "batch_size": 50, "log_partition_draws": 0}
    alone, helped = (fit(data, **settings, **{"data.workers": workers}, quiet=True) for workers in (0, 1))
    for name, value in alone.state_dict().items():
        assert torch.equal(value, helped.state_dict()[name]), name


def test_a_run_works_from_a_dataset():
    estimator = fit(TensorDataset(torch.randn(500, 2) * 3 + 1), steps=20, batch_size=50, quiet=True)
    assert torch.isfinite(estimator.log_prob(torch.zeros(4, 2))).all()
    torch.testing.assert_close(estimator.scaling.scale, torch.tensor([3.0, 3.0]).double(), rtol=0.2, atol=0)
