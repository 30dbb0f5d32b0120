"""Mixed MADE: its conditionals against scipy, its sums and integrals, what it sees, and planted defects."""

import math
from functools import partial

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch
from contrastive_autoregressive import MixedMADE
from contrastive_autoregressive.conditionals import Circle, Grid
from contrastive_autoregressive.families import bounded_log_scale

from contrastive import ContrastiveError, make_noise
from contrastive.numerics.layout import on_support, present
from contrastive.protocols import JointlySampled, MixedNoise, is_discrete
from contrastive.testing import check_noise_model, parametrize_with_checks
from contrastive.testing.core import CheckFailed

SMALL = {"width": 8, "components": 2}
EVERY = ["category:2", "real?", "category:3", "circle", "category:2", "grid:0.5?", "real"]
DENSITY = ["normalization", "draws-match-density"]


def made(layout, **options):
    """A model far from its start, in float64."""
    torch.manual_seed(0)
    noise = MixedMADE((len(layout),), layout=layout, **SMALL | options).double()
    with torch.no_grad():
        for parameter in noise.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return noise


@parametrize_with_checks([partial(MixedMADE, layout=["category:2", "real?"], **SMALL)], event_shape=(2,), rows=5_000)
def test_kit_on_a_number_that_may_be_missing(check):
    check()


@pytest.mark.parametrize(
    "layout", [["category:3", "circle"], ["category:2", "grid:0.5?", "category:2"], ["grid:0.7"]], ids=" ".join
)
def test_masses_and_densities_sum_and_integrate_to_one_and_are_those_of_the_draws(layout):
    """False-alarm rate 1e-6 a check."""
    factory = partial(MixedMADE, layout=layout, **SMALL)
    outcomes = check_noise_model(factory, event_shape=(len(layout),), rows=5_000, only=DENSITY)
    assert [outcome.verdict for outcome in outcomes] == ["passed", "passed"]


class ForgetsTheGap(MixedMADE):
    """Counts the density of a value that is not there."""

    def entry_log_probs(self, x):
        log_q = [own.log_prob(raw, column) for own, raw, column in zip(self.conditionals, self._raw(x), x.T)]
        return torch.stack(log_q, 1)


class DrawsTheGap(MixedMADE):
    """Scores patterns of gaps by the model, and draws them half and half."""

    def complete(self, x, known=None):
        drawn, log_q = super().complete(x, known)
        drawn[:, 0] = (torch.rand(len(x)) < 0.5).to(x)
        drawn[:, 1] = torch.where(drawn[:, 0] == 0, drawn[:, 1] + 0.01 * torch.randn_like(drawn[:, 1]), 0.0)
        return drawn, log_q


class CountsTwice(MixedMADE):
    """The masses of a category are not normalised."""

    def entry_log_probs(self, x):
        log_q = super().entry_log_probs(x)
        return torch.cat([log_q[:, :1] + 0.1, log_q[:, 1:]], 1)


@pytest.mark.parametrize("defect", [ForgetsTheGap, DrawsTheGap, CountsTwice])
def test_the_kit_finds_a_planted_defect(defect):
    factory = partial(defect, layout=["category:2", "real?"], **SMALL)
    with pytest.raises(CheckFailed, match=r"sum to|do not have the masses"):
        check_noise_model(factory, event_shape=(2,), rows=5_000, only=DENSITY)


class Unwrapped(Circle):
    """A normal that does not close in a circle."""

    def log_prob(self, raw, x):
        log_weights, means, log_scales = self._parameters(raw)
        standard = (x[:, None] - means) * (-log_scales).exp()
        return (log_weights - 0.5 * standard.square() - log_scales - 0.5 * math.log(2 * math.pi)).logsumexp(1)


class Density(Grid):
    """A density where a mass belongs, with no factor of the step."""

    def log_prob(self, raw, x):
        return super().log_prob(raw, x) - math.log(self.step)


@pytest.mark.parametrize(("word", "defect"), [("circle", Unwrapped(2)), ("grid:0.5", Density(2, 0.5))])
def test_the_kit_finds_a_conditional_with_another_base_measure(word, defect):
    def factory():
        noise = MixedMADE((2,), layout=["category:2", word], **SMALL)
        noise.conditionals[1] = defect
        return noise

    with pytest.raises(CheckFailed, match=r"sum to|do not have the masses"):
        check_noise_model(factory, event_shape=(2,), rows=5_000, only=DENSITY)


def test_it_is_what_it_claims():
    noise = made(EVERY)
    assert isinstance(noise, MixedNoise)
    assert isinstance(noise, JointlySampled)
    assert is_discrete(noise)
    assert not is_discrete(make_noise("mixed-made", event_shape=(2,)))


@torch.no_grad()
def test_conditionals_are_those_of_scipy():
    raw = torch.randn(6, 9, dtype=torch.float64)
    weights = raw[:, :3].softmax(1).numpy()
    means, scales = raw[:, 3:6].numpy(), bounded_log_scale(raw[:, 6:]).exp().numpy()
    k = torch.arange(-3, 3).double()
    logistic = scipy.stats.logistic(means, scales)
    above, below = (logistic.cdf(0.5 * (k.numpy()[:, None] + side)) for side in (0.5, -0.5))
    np.testing.assert_allclose(
        Grid(3, 0.5).log_prob(raw, 0.5 * k), np.log((weights * (above - below)).sum(1)), rtol=1e-7
    )

    circle, angle = Circle(3), torch.linspace(-3, 3, 6, dtype=torch.float64)
    _, means, log_scales = circle._parameters(raw)
    turns = 2 * np.pi * np.arange(-30, 31)
    wrapped = scipy.stats.norm(means.numpy()[..., None], log_scales.exp().numpy()[..., None]).pdf(
        angle.numpy()[:, None, None] + turns
    )
    np.testing.assert_allclose(circle.log_prob(raw, angle), np.log((weights * wrapped.sum(-1)).sum(1)), rtol=1e-7)


@torch.no_grad()
def test_each_entry_sees_what_is_before_it_and_no_other():
    noise = made(EVERY)
    x = noise.sample((50,))
    for j in range(len(EVERY)):
        moved = x.clone()
        moved[:, j] = torch.where(moved[:, j] == 0, 1.0, 0.0)
        changed = [not torch.allclose(a, b) for a, b in zip(noise._raw(x), noise._raw(moved))]
        assert changed == [i > j for i in range(len(EVERY))]


@torch.no_grad()
def test_log_q_of_the_draws_comes_with_them_and_points_off_the_support_have_no_mass():
    noise = made(EVERY)
    x, log_q = noise.sample_and_log_prob((300,))
    assert bool(on_support(x, noise.layout).all())
    torch.testing.assert_close(log_q, noise.log_prob(x))
    for j, value in ((0, 0.5), (0, 2.0), (2, -1.0), (5, 0.25)):
        off = x.clone()
        off[:, j] = value
        off = off[off[:, 4] == 0] if j == 5 else off
        assert (noise.log_prob(off) == -math.inf).all()
    gone = x[x[:, 0] == 1]
    gone[:, 1] = 0.1
    assert (noise.log_prob(gone) == -math.inf).all()


@torch.no_grad()
def test_completion_keeps_what_is_known_and_scores_what_it_draws():
    noise = made(EVERY)
    x = noise.sample((200,))
    known = torch.rand(200, len(EVERY)) < 0.5
    completed, log_q = noise.complete(x, known)
    assert torch.equal(completed[known], x[known])
    drawn = torch.where(known | ~present(completed, noise.layout), 0.0, noise.entry_log_probs(completed))
    torch.testing.assert_close(log_q, drawn.sum(1))


def test_maximum_likelihood_learns_a_table_of_known_entropy():
    """A category, a number that is there for one of its values, and a count: within 0.05 nats of the entropy."""
    torch.manual_seed(0)

    def draw(n):
        a = (torch.rand(n) < 0.7).float()
        b = torch.where(a == 0, 2 + 0.5 * torch.randn(n), 0.0)
        c = 0.5 * torch.distributions.Binomial(4, torch.where(a == 0, 0.2, 0.7)).sample()
        return torch.stack([a, b, c], 1)

    noise = MixedMADE((3,), layout=["category:2", "real?", "grid:0.5"], width=16, components=4)
    optimizer = torch.optim.Adam(noise.parameters(), 1e-2)
    for _ in range(400):
        optimizer.zero_grad()
        (-noise.log_prob(draw(500)).mean()).backward()
        optimizer.step()
    binomials = [scipy.stats.binom(4, p).entropy() for p in (0.2, 0.7)]
    normal = scipy.stats.norm(0, 0.5).entropy()
    entropy = scipy.stats.bernoulli(0.7).entropy() + 0.3 * (normal + binomials[0]) + 0.7 * binomials[1]
    with torch.no_grad():
        assert -float(noise.log_prob(draw(20_000)).mean()) == pytest.approx(entropy, abs=0.05)


@pytest.mark.parametrize("size", [1.0, 1e3, 1e6])
def test_far_points_stay_finite_in_float32(size):
    noise = MixedMADE((3,), layout=["grid:0.5", "real", "category:2"], **SMALL)
    x = (size * torch.randn(50, 3)).round()
    x[:, 2] = 0
    log_q = noise.log_prob(x)
    assert torch.isfinite(log_q).all()
    assert all(torch.isfinite(g).all() for g in torch.autograd.grad(log_q.mean(), list(noise.parameters())))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"event_shape": (1, 8, 8)}, "flatten"),
        ({"event_shape": (2,), "layout": ["real"]}, "does not fit events of 2"),
        ({"event_shape": (1,), "layout": ["real?"]}, "must be a category"),
        ({"event_shape": (1,), "layout": "categories"}, "no entry of a layout"),
        ({"event_shape": (1,), "components": 0}, "at least 1"),
    ],
)
def test_bad_options_are_refused_in_a_sentence(options, message):
    with pytest.raises(ContrastiveError, match=message):
        MixedMADE(**options)
