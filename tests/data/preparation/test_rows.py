"""From data to a run's parts: splits, sizes, and what is refused."""

import pytest
import torch

from contrastive import ContrastiveError
from contrastive.config import configure
from contrastive.data.preparation import prepare

CONFIG = configure()


def test_splits_are_disjoint_and_cover():
    x = torch.arange(1000.0)[:, None]
    data = prepare(x, CONFIG)
    train = data.scaling.inverse(data.source.z)
    together = torch.cat([train, data.validation, data.test]).flatten().sort().values
    torch.testing.assert_close(together, x.flatten().double(), rtol=0, atol=1e-3)
    assert (len(data.validation), len(data.test)) == (100, 100)


def test_fewer_rows_than_a_batch_are_refused():
    config = configure(batch_size=100)
    with pytest.raises(ContrastiveError, match="70 training rows are fewer than a batch of 100"):
        prepare(torch.randn(100, 2), config)


def test_unknown_data_names_the_near_densities():
    expected = "'8gausians' is neither a density nor a set of images, a file or a folder; did you mean '8gaussians'"
    with pytest.raises(ContrastiveError, match=expected):
        prepare("8gausians", CONFIG)


@pytest.mark.parametrize(
    ("rows", "share", "expected"),
    [(50, None, 10), (150, None, 30), (250, None, 40), (900, None, 90), (120_000, None, 10_000), (150, 0.1, 15)],
)
def test_a_small_table_holds_out_more_than_a_handful(rows, share, expected):
    data = prepare(torch.randn(rows, 2), configure(validation=share))
    assert len(data.validation) == expected
    assert len(data.test) == round(0.1 * rows)
