"""Sources: the order of rows, and what a batch holds."""

import itertools

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import TensorDataset

from contrastive import fit, make_noise
from contrastive.data.scaling import Scaling
from contrastive.data.sources import ArraySource, DatasetSource, row_stream


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 50))
def test_every_epoch_holds_every_row_once_and_the_stream_can_start_anywhere(n, batch_size, start):
    batch_size = min(n, batch_size)
    whole = torch.cat(list(itertools.islice(row_stream(n, batch_size, 7, 0), start + n + 3)))
    for epoch in whole[: len(whole) // n * n].split(n):
        assert epoch.sort().values.tolist() == list(range(n))
    late = torch.cat(list(itertools.islice(row_stream(n, batch_size, 7, start), n + 3)))
    assert torch.equal(late, whole[start * batch_size :])


def test_a_held_noise_scores_rows_once():
    z, noise = torch.randn(20, 2), make_noise("gaussian", event_shape=(2,))
    source = ArraySource(z)
    source.cache_log_prob(noise)
    batch = next(source.batches(8, 0, 3))
    torch.testing.assert_close(batch.log_q, noise.log_prob(batch.z))


def test_a_dataset_streams_the_rows_of_the_array():
    z = torch.randn(20, 2)
    identity = Scaling.identity((2,))
    from_array_ = itertools.islice(ArraySource(z).batches(6, 5, 2), 8)
    from_dataset = itertools.islice(DatasetSource(TensorDataset(z), identity, torch.device("cpu")).batches(6, 5, 2), 8)
    for a, b in zip(from_array_, from_dataset):
        torch.testing.assert_close(a.z, b.z)


def test_a_run_works_from_a_dataset():
    estimator = fit(TensorDataset(torch.randn(500, 2) * 3 + 1), steps=20, batch_size=50, quiet=True)
    assert torch.isfinite(estimator.log_prob(torch.zeros(4, 2))).all()
    torch.testing.assert_close(estimator.scaling.scale, torch.tensor([3.0, 3.0]).double(), rtol=0.2, atol=0)
