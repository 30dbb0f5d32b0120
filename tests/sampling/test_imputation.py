"""Imputation against conditionals that are known: by enumeration, and in closed form."""

import numpy as np
import pytest
import scipy.stats
import torch
from contrastive_autoregressive import MixedMADE

from contrastive import ContrastiveError, ContrastiveEstimator, Energy, make_energy, make_noise
from contrastive.data.schema import Column, TableScaling
from contrastive.testing.statistics import dkw_radius

FALSE_ALARM = 1e-6
ROWS = 8_000


class Known(Energy):
    """f from a function."""

    def __init__(self, f):
        super().__init__()
        self.f = f

    def forward(self, x):
        """f(x)."""
        return self.f(x)


def estimator_of(columns, f):
    """A known energy against an untrained noise, which is far from it."""
    torch.manual_seed(1)
    d = sum(len(column.entries) for column in columns)
    scaling = TableScaling(columns, torch.zeros(d), torch.ones(d))
    noise = MixedMADE((d,), layout=[entry.word for entry in scaling.layout], width=8, components=2)
    with torch.no_grad():
        for parameter in noise.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return ContrastiveEstimator(Known(f), noise, scaling=scaling)


def require_shares(counts, expected):
    """A chi-square test of the false-alarm rate `FALSE_ALARM`."""
    assert scipy.stats.chisquare(counts, counts.sum() * expected / expected.sum()).pvalue > FALSE_ALARM


def test_categories_are_drawn_from_the_enumerated_conditional():
    """The gaps come first and the observed entry last, so that the noise's proposals do not know it."""
    table = torch.randn(2, 3, 2, generator=torch.Generator().manual_seed(0))
    columns = [Column(name, "category", tuple(map(float, range(k)))) for name, k in zip("abc", (2, 3, 2))]
    estimator = estimator_of(columns, lambda x: table[tuple(x.long().T)])
    x = np.tile([np.nan, np.nan, 1.0], (ROWS, 1))
    imputed = estimator.impute(x, proposals=4, warmup=15).x[0]
    assert (imputed[:, 2] == 1).all()
    counts = np.bincount((3 * imputed[:, 0] + imputed[:, 1]).long().numpy(), minlength=6)
    require_shares(counts, table[:, :, 1].exp().flatten().double().numpy())


def test_numbers_are_drawn_from_the_conditional_of_a_gaussian():
    """x0 given x1 = 1 is N(0.8, 0.36); by the distance of distribution functions."""
    gaussian = torch.distributions.MultivariateNormal(torch.zeros(2), torch.tensor([[1.0, 0.8], [0.8, 1.0]]))
    estimator = estimator_of([Column("a", "continuous"), Column("b", "continuous")], gaussian.log_prob)
    x = np.tile([np.nan, 1.0], (ROWS, 1))
    draws = estimator.impute(x, proposals=16, warmup=15).x[0, :, 0].sort().values.numpy()
    distance = np.abs(scipy.stats.norm(0.8, 0.6).cdf(draws) - (np.arange(ROWS) + 0.5) / ROWS).max()
    assert distance < dkw_radius(ROWS, FALSE_ALARM) + 0.5 / ROWS


def test_a_gap_is_filled_given_that_the_value_is_there():
    """States present, missing and atom: "missing" is never drawn, the others have the shares that they have in p."""
    log_mass = torch.tensor([0.5, 2.0, 0.1])
    normal = torch.distributions.Normal(2.0, 0.5)

    def f(x):
        return log_mass[x[:, 0].long()] + torch.where(x[:, 0] == 0, normal.log_prob(x[:, 1]), 0.0)

    estimator = estimator_of([Column("a", "continuous", missing=True, atoms=(0.0,))], f)
    x = estimator.scaling.encode_array(np.full((ROWS, 1), np.nan))
    assert (x[:, 0] == 1).all()
    imputed = estimator.impute(x, proposals=8, warmup=15).x[0]
    assert not (imputed[:, 0] == 1).any()
    counts = np.array([int((imputed[:, 0] == code).sum()) for code in (0, 2)])
    require_shares(counts, log_mass[[0, 2]].exp().double().numpy())
    drawn = imputed[imputed[:, 0] == 0, 1].sort().values.numpy()
    distance = np.abs(scipy.stats.norm(2, 0.5).cdf(drawn) - (np.arange(len(drawn)) + 0.5) / len(drawn)).max()
    assert distance < dkw_radius(len(drawn), FALSE_ALARM) + 0.5 / len(drawn)
    assert set(estimator.to_frame(imputed[imputed[:, 0] == 2])["a"]) == {0.0}


def test_what_is_observed_stays_to_the_last_digit_and_draws_differ():
    columns = [Column("a", "continuous"), Column("b", "positive")]
    estimator = estimator_of(columns, lambda x: -0.5 * x.square().sum(1))
    x = np.array([[0.1, 1 / 3], [np.nan, 1 / 7], [2.0, np.nan]])
    imputed = estimator.impute(x, draws=2, warmup=2)
    kept = torch.from_numpy(~np.isnan(x))
    for draw in imputed.x:
        assert torch.equal(draw[kept], torch.from_numpy(x)[kept])
    assert not torch.equal(imputed.x[0], imputed.x[1])
    assert imputed.effective_share.isnan().tolist() == [True, False, False]


def test_proposals_that_hardly_count_are_said():
    estimator = estimator_of([Column("a", "continuous")], lambda x: -0.5 * ((x[:, 0] - 30) / 0.01).square())
    with pytest.warns(UserWarning, match="fewer than 5 % of the proposals count"):
        estimator.impute(np.array([[np.nan]]), warmup=1)


def test_other_fits_and_numbers_out_of_range_are_refused():
    plain = ContrastiveEstimator(
        make_energy("mlp", event_shape=(2,)), make_noise("gaussian", event_shape=(2,), loc=0.0)
    )
    with pytest.raises(ContrastiveError, match=r"--data\.mixed true"):
        plain.impute(np.zeros((1, 2)))
    estimator = estimator_of([Column("a", "continuous")], lambda x: -x[:, 0].abs())
    with pytest.raises(ContrastiveError, match="proposals of at least 2"):
        estimator.impute(np.array([[np.nan]]), proposals=1)
