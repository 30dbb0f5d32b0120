"""MADE against scipy's mixtures, the Jacobian of its own distribution functions, and uniformity of its draws."""

import math
from functools import partial

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch
from contrastive_autoregressive import MADE
from hypothesis import given
from hypothesis import strategies as st

from contrastive import ContrastiveError, make_noise
from contrastive.data.densities import make_density
from contrastive.protocols import AdaptiveNoise, NoiseModel, trainable_parameters
from contrastive.testing import parametrize_with_checks
from contrastive.testing.statistics import dkw_radius

FALSE_ALARM = 1e-6
CONDITIONALS = ["gaussian", "logistic"]
models = {
    "dim": st.integers(1, 5),
    "components": st.integers(1, 4),
    "hidden_layers": st.integers(1, 3),
    "conditionals": st.sampled_from(CONDITIONALS),
    "seed": st.integers(0, 10_000),
}


def randomized(dim=3, components=3, hidden_layers=2, conditionals="gaussian", seed=0, dtype=torch.float64, scale=0.3):
    """A small model, far from its start."""
    torch.manual_seed(seed)
    made = MADE((dim,), width=12, hidden_layers=hidden_layers, components=components, conditionals=conditionals)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(scale * torch.randn_like(parameter))
    return made.to(dtype)


@parametrize_with_checks(["made"], event_shape=(1,))
def test_kit_on_numbers(check):
    check()


@parametrize_with_checks(
    ["made", partial(MADE, conditionals="logistic", components=3), partial(MADE, whiten=True)], event_shape=(2,)
)
def test_kit_on_pairs(check):
    check()


@parametrize_with_checks(["made"], event_shape=(4,), rows=10_000)
def test_kit_on_vectors(check):
    check()


def test_it_is_what_it_claims():
    made = make_noise("made", event_shape=(3,), width=8)
    assert isinstance(made, NoiseModel)
    assert not isinstance(made, AdaptiveNoise)
    assert trainable_parameters(made)


@given(**models)
def test_conditionals_are_the_mixtures_of_scipy(**options):
    made = randomized(**options)
    x = 2 * torch.randn(7, options["dim"], dtype=torch.float64)
    mixture = made.conditionals(x)
    weights, means, scales = (v.detach().numpy() for v in (mixture[0].exp(), mixture[1], mixture[2].exp()))
    family = {"gaussian": scipy.stats.norm, "logistic": scipy.stats.logistic}[options["conditionals"]](means, scales)
    log_density = scipy.special.logsumexp(family.logpdf(x[..., None].numpy()), -1, b=weights)
    np.testing.assert_allclose(weights.sum(-1), 1)
    np.testing.assert_allclose(made.log_prob(x).detach(), log_density.sum(-1), rtol=1e-9)
    cdf = (weights * family.cdf(x[..., None].numpy())).sum(-1)
    np.testing.assert_allclose(made.conditional_cdf(x).detach(), cdf, rtol=1e-9, atol=1e-14)


@given(**models)
def test_density_is_the_jacobian_of_the_distribution_functions(**options):
    """u_i = F(x_i | x_<i) has a triangular Jacobian, whose determinant is q(x)."""
    made = randomized(**options)
    point = torch.randn(options["dim"], dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda x: made.conditional_cdf(x[None])[0], point)
    assert torch.equal(jacobian, jacobian.tril())
    torch.testing.assert_close(jacobian.slogdet()[1], made.log_prob(point), rtol=1e-7, atol=1e-7)


@given(**models)
def test_each_conditional_sees_all_entries_before_it_and_no_other(**options):
    made, d = randomized(**options), options["dim"]
    for field in range(3):
        jacobian = torch.autograd.functional.jacobian(
            lambda x, field=field: made.conditionals(x[None])[field][0], torch.randn(d, dtype=torch.float64)
        )
        seen = jacobian.abs().amax(1) > 0
        before = torch.ones(d, d, dtype=torch.bool).tril(-1)
        assert not (seen & ~before).any()
        if field or options["components"] > 1:  # the weight of a single component is 1 whatever came before
            assert torch.equal(seen, before)


@pytest.mark.parametrize("conditionals", CONDITIONALS)
def test_draws_become_independent_uniforms(conditionals):
    """False-alarm rate 1e-6: each entry's transform, and the largest of all, to the power d, is uniform."""
    made, n, d = randomized(dim=4, conditionals=conditionals, seed=3), 20_000, 4
    with torch.no_grad():
        u = made.conditional_cdf(made.sample((n,)))
    u = torch.cat([u, u.amax(1, keepdim=True) ** d], 1).sort(0).values
    grid = (torch.arange(n, dtype=u.dtype)[:, None] + 0.5) / n
    assert float((u - grid).abs().max()) <= dkw_radius(n, FALSE_ALARM / (d + 1)) + 0.5 / n


@pytest.mark.parametrize("conditionals", CONDITIONALS)
@pytest.mark.parametrize("components", [1, 2, 8])
@torch.no_grad()
def test_a_fresh_model_has_mean_0_and_variance_1_in_each_entry(conditionals, components):
    made = MADE((1,), components=components, conditionals=conditionals).double()
    weights, means, log_scales = made.conditionals(torch.zeros(1, 1, dtype=torch.float64))
    second = means.square() + made.family.variance * (2 * log_scales).exp()
    assert float((weights.exp() * means).sum()) == pytest.approx(0, abs=1e-6)
    assert float((weights.exp() * second).sum()) == pytest.approx(1, abs=1e-5)
    assert len(means.unique()) == components


@pytest.mark.parametrize("conditionals", CONDITIONALS)
@pytest.mark.parametrize("size", [1e-6, 1.0, 1e3, 1e6])
@pytest.mark.parametrize("scale", [0.0, 1.0, 10.0])
def test_far_points_stay_finite_in_float32(size, conditionals, scale):
    made = randomized(conditionals=conditionals, dtype=torch.float32, scale=scale)
    x = size * torch.randn(200, 3)
    log_q = made.log_prob(x)
    assert torch.isfinite(log_q).all()
    gradients = torch.autograd.grad(log_q.mean(), list(made.parameters()))
    assert all(torch.isfinite(g).all() for g in gradients)
    u = made.conditional_cdf(x)
    assert ((u >= 0) & (u <= 1 + 1e-6)).all()


def test_the_farthest_points_have_no_density_and_leave_the_others_alone():
    made = randomized(dtype=torch.float32)
    x = torch.tensor([[math.inf, 0.0, 0.0], [0.0, -math.inf, 1.0], [3e38, -3e38, 3e38], [0.1, 0.2, 0.3]])
    log_q = made.log_prob(x)
    assert (log_q[:3] == -math.inf).all()
    assert torch.isfinite(log_q[3])


@pytest.mark.parametrize("conditionals", CONDITIONALS)
def test_maximum_likelihood_learns_two_moons(conditionals):
    torch.manual_seed(0)
    moons = make_density("moons")
    made = MADE((2,), width=32, conditionals=conditionals)
    optimizer = torch.optim.Adam(made.parameters(), 5e-3)
    for _ in range(300):
        optimizer.zero_grad()
        (-made.log_prob(moons.sample((200,)).float()).mean()).backward()
        optimizer.step()
    x = moons.sample((5000,)).float()
    gaussian = torch.distributions.MultivariateNormal(x.mean(0), x.mT.cov())
    with torch.no_grad():
        gain = made.log_prob(x).mean() - gaussian.log_prob(x).mean()
    assert gain > 0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"event_shape": (1, 8, 8)}, "flatten"),
        ({"event_shape": ()}, "vectors"),
        ({"event_shape": (0,)}, "vectors"),
        ({"event_shape": (2,), "components": 0}, "at least 1"),
        ({"event_shape": (2,), "conditionals": "gausian"}, "did you mean 'gaussian'"),
        ({"event_shape": (2,), "activation": "slu"}, "did you mean 'silu'"),
    ],
)
def test_bad_options_are_refused_in_a_sentence(arguments, message):
    with pytest.raises(ContrastiveError, match=message):
        MADE(**arguments)


def test_a_whitened_model_starts_as_the_gaussian_of_nearly_collinear_columns():
    a, b, c = torch.randn(3, 5000, generator=torch.Generator().manual_seed(0))
    x = torch.stack([a, a + 1e-3 * b, c], 1)
    made = MADE((3,), whiten=True)
    with pytest.raises(ContrastiveError, match="seen no data"):
        made.log_prob(x)
    made.initialize(x)
    gaussian = scipy.stats.multivariate_normal(x.mean(0).numpy(), np.cov(x.double().numpy().T))
    assert made.log_prob(x).mean().item() == pytest.approx(gaussian.logpdf(x.numpy()).mean(), abs=0.5)
    assert MADE((3,)).log_prob(x).mean() < made.log_prob(x).mean() - 5


def conditioned(d=2, k=2, seed=0, **options):
    """A small model of q(x | y), far from its start, and a row."""
    torch.manual_seed(seed)
    made = MADE((d,), context_shape=(k,), width=16, components=3, **options).double()
    x, y = torch.randn(200, d, dtype=torch.float64), 3 + 2 * torch.randn(200, k, dtype=torch.float64)
    made.initialize(x + y.sum(1, keepdim=True), given=y)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return made, x[0], y[0]


@parametrize_with_checks(
    [partial(MADE, whiten=True, width=16, components=3)],
    kind="conditional",
    event_shape=(2,),
    context_shape=(2,),
    rows=6000,
    only=["draws-match-density", "probability-integral-transform", "copies", "score-identity", "float64"],
)
def test_kit_given_contexts(check):
    check()


@given(d=st.integers(1, 4), k=st.integers(1, 3), whiten=st.booleans(), seed=st.integers(0, 10_000))
def test_given_a_context_an_entry_sees_all_of_it_and_the_entries_before(d, k, whiten, seed):
    """By autograd's Jacobians of the distribution functions, in which an entry's own is its density."""
    made, x, y = conditioned(d, k, seed, whiten=whiten)
    in_x, in_y = torch.autograd.functional.jacobian(
        lambda x, y: made.conditional_cdf(x[None], given=y[None])[0], (x, y)
    )
    assert bool((in_y != 0).all())
    assert torch.equal(in_x != 0, torch.ones(d, d).tril().bool())
    torch.testing.assert_close(made.log_prob(x[None], given=y[None])[0], in_x.diagonal().log().sum())


@pytest.mark.parametrize("given_y", [None, torch.zeros(3, 1), torch.zeros(3, 3)])
def test_contexts_that_do_not_fit_are_refused(given_y):
    made, *_ = conditioned()
    with pytest.raises(ContrastiveError, match=r"takes contexts of shape \(3, 2\)"):
        made.log_prob(torch.zeros(3, 2), given=given_y)
    with pytest.raises(ContrastiveError, match="conditions on nothing"):
        MADE((2,)).log_prob(torch.zeros(3, 2), given=torch.zeros(3, 2))
