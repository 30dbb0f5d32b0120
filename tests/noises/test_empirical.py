"""Noises that are samples, by which log-ratios are learned."""

import pytest
import torch
from scipy.stats import chisquare

from contrastive import ContrastiveError
from contrastive.noises import EmpiricalNoise, IndependentNoise

#: Of each test that rests on draws.
FALSE_ALARM = 1e-6


def test_draws_are_rows_each_as_often():
    rows = torch.arange(10.0).reshape(5, 2)
    x, log_q = EmpiricalNoise(rows).sample_and_log_prob(torch.Size([5000]))
    assert not log_q.any()
    counts = [int((x == row).all(1).sum()) for row in rows]
    assert sum(counts) == 5000
    assert chisquare(counts).pvalue > FALSE_ALARM


def test_pairs_are_all_those_of_different_rows_each_as_often():
    rows = torch.stack([torch.arange(4.0), 10 * torch.arange(4.0)], 1)
    x = IndependentNoise(rows, split=1).sample(torch.Size([6000]))
    pairs = [(i, 10 * j) for i in range(4) for j in range(4) if i != j]
    counts = [int(((x[:, 0] == i) & (x[:, 1] == j)).sum()) for i, j in pairs]
    assert sum(counts) == 6000, "a row was paired with itself"
    assert chisquare(counts).pvalue > FALSE_ALARM


def test_pairs_of_three_columns_keep_each_side_together():
    rows = torch.arange(30.0).reshape(10, 3)
    x = IndependentNoise(rows, split=2).sample(torch.Size([4, 50]))
    assert x.shape == (4, 50, 3)
    assert torch.equal(x[..., 1] - x[..., 0], torch.ones(4, 50))


def test_rows_are_no_part_of_a_checkpoint():
    assert EmpiricalNoise(torch.randn(5, 2)).state_dict() == {}


def test_log_density_has_the_shape_of_the_batch_and_no_gradient():
    noise = EmpiricalNoise(torch.randn(5, 3, 2))
    assert noise.sample().shape == (3, 2)
    assert noise.log_prob(torch.randn(7, 4, 3, 2)).shape == (7, 4)


@pytest.mark.parametrize(("rows", "split"), [((1, 2), 1), ((5, 2), 0), ((5, 2), 2)])
def test_margins_of_one_row_or_of_one_side_are_refused(rows, split):
    with pytest.raises(ContrastiveError, match="two rows and a column on each side"):
        IndependentNoise(torch.randn(*rows), split)
    with pytest.raises(ContrastiveError, match="at least one row"):
        EmpiricalNoise(torch.empty(0, 2))
