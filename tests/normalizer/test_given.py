"""log Z(y) of conditional densities against closed forms."""

import pytest
import torch
from helpers.conditional import log_z, shifted_estimator

from contrastive import ContrastiveError

Y = torch.linspace(-2, 2, 40)[:, None]


def test_intervals_of_many_contexts_cover_log_z_of_each():
    """40 intervals of level 0.99 together at Bonferroni's rate: more than 4 misses have probability 6e-5."""
    torch.manual_seed(0)
    estimates = shifted_estimator().log_partitions_given(Y, draws=4000, level=0.99)
    missed = [not e.low <= float(log_z(y)) <= e.high for e, y in zip(estimates, Y[:, 0])]
    assert sum(missed) <= 4
    assert max(abs(e.log_z - float(log_z(y))) for e, y in zip(estimates, Y[:, 0])) < 0.1


def test_one_context_takes_every_method():
    """Importance and the bridge, of p(. | y) alone; 5 standard errors, false-alarm rate 6e-7 each."""
    torch.manual_seed(0)
    estimator = shifted_estimator()
    before = estimator.noise.contexts.clone()
    for method in ("importance", "bridge"):
        estimate = estimator.log_partition(method, given=[1.0], draws=5000)
        assert abs(estimate.log_z - float(log_z(torch.tensor(1.0)))) < 5 * estimate.standard_error
    assert torch.equal(estimator.noise.contexts, before)


def test_annealing_moves_no_context():
    torch.manual_seed(1)
    estimate = shifted_estimator().log_partition("annealing", given=[-1.0], draws=2000)
    assert abs(estimate.log_z - float(log_z(torch.tensor(-1.0)))) < 5 * estimate.standard_error + 0.01


def test_log_z_of_rows_is_that_of_the_mean_of_z():
    """Over the contexts of the noise; 5 standard errors."""
    torch.manual_seed(0)
    estimator = shifted_estimator()
    truth = float(log_z(estimator.noise.contexts[:, 0]).exp().mean().log())
    estimate = estimator.log_partition("importance", draws=50_000)
    assert abs(estimate.log_z - truth) < 5 * estimate.standard_error


def test_bad_requests_are_refused():
    estimator = shifted_estimator()
    with pytest.raises(ContrastiveError, match="takes one context, got 40"):
        estimator.log_partition(given=Y)
    with pytest.raises(ContrastiveError, match="at least 100 draws"):
        estimator.log_partitions_given(Y, draws=5)
