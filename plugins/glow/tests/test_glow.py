"""Glow against the full autograd Jacobian, quadrature and finite differences; parameters are randomised first."""

import copy
import math
from functools import partial

import pytest
import torch
from contrastive_glow import Glow
from contrastive_glow.layers import ActNorm
from helpers.flow_checks import assert_inverse, assert_log_det_is_the_jacobians, randomize, total_mass
from hypothesis import given
from hypothesis import strategies as st

from contrastive import ContrastiveError, make_noise
from contrastive.protocols import AdaptiveNoise, InitializableNoise, NoiseModel
from contrastive.testing import parametrize_with_checks

shapes = {
    "dim": st.integers(2, 5),
    "depth": st.integers(1, 3),
    "seed": st.integers(0, 10_000),
    "coupling": st.sampled_from(["affine", "spline"]),
}


def randomized(dim=2, depth=3, seed=0, coupling="affine", dtype=torch.float64, scale=0.3):
    """A small flow, far from the identity."""
    torch.manual_seed(seed)
    glow = Glow((dim,), depth=depth, width=8, coupling=coupling).to(dtype)
    glow.initialize(torch.randn(200, dim, dtype=dtype) * 2 + 1)
    return randomize(glow, scale)


def test_it_is_what_it_claims():
    glow = make_noise("glow", event_shape=(2,), depth=2, width=8)
    assert isinstance(glow, NoiseModel)
    assert isinstance(glow, AdaptiveNoise)
    assert isinstance(glow, InitializableNoise)


@given(**shapes)
def test_log_determinants_are_those_of_the_full_jacobian(dim, depth, seed, coupling):
    glow = randomized(dim, depth, seed, coupling)
    z = torch.randn(4, dim, dtype=torch.float64)
    assert_log_det_is_the_jacobians(glow.from_latent, z)
    assert_log_det_is_the_jacobians(glow.to_latent, glow.from_latent(z)[0].detach())


@given(**shapes)
def test_maps_are_inverse_to_each_other(dim, depth, seed, coupling):
    glow = randomized(dim, depth, seed, coupling)
    assert_inverse(glow.from_latent, glow.to_latent, torch.randn(8, dim, dtype=torch.float64))


@pytest.mark.parametrize("coupling", ["affine", "spline"])
@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3, 1e6])
def test_far_points_stay_finite_in_float32(size, coupling):
    glow = randomized(dtype=torch.float32, coupling=coupling)
    x = size * torch.randn(100, 2)
    z, log_det = glow.to_latent(x)
    assert torch.isfinite(z).all()
    assert torch.isfinite(log_det).all()
    assert torch.isfinite(glow.log_prob(x)).all()
    if coupling == "affine":  # a spline that a far neighbour bends has slopes of 1e3: float32 keeps no digits
        torch.testing.assert_close(glow.from_latent(z)[0], x, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("coupling", ["affine", "spline"])
def test_density_integrates_to_one(coupling):
    # Gently randomised: a strongly bent flow has filaments that no grid resolves.
    assert total_mass(randomized(scale=0.1, coupling=coupling)) == pytest.approx(1, abs=1e-4)


@given(**shapes)
def test_one_pass_agrees_with_two(dim, depth, seed, coupling):
    glow = randomized(dim, depth, seed, coupling)
    x, log_q = glow.rsample_and_log_prob((3, 4))
    assert x.shape == (3, 4, dim)
    torch.testing.assert_close(log_q, glow.log_prob(x), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("coupling", ["affine", "spline"])
def test_draws_are_differentiated_through_their_path(coupling):
    """Against central differences with the base noise frozen."""
    glow = randomized(coupling=coupling)

    def functional():
        torch.manual_seed(9)
        x, log_q = glow.rsample_and_log_prob((20,))
        return (x.sin().sum(-1) + 0.3 * log_q).mean()

    parameters = list(glow.parameters())
    gradients = torch.autograd.grad(functional(), parameters)
    for parameter, gradient in zip(parameters, gradients):
        direction = torch.randn_like(parameter)
        with torch.no_grad():
            parameter.add_(1e-6 * direction)
            above = functional()
            parameter.sub_(2e-6 * direction)
            below = functional()
            parameter.add_(1e-6 * direction)
        expected = (gradient * direction).sum()
        torch.testing.assert_close((above - below) / 2e-6, expected, rtol=1e-4, atol=1e-7)


def test_an_optimiser_step_is_seen_at_once_by_both_directions():
    glow = randomized()
    optimizer = torch.optim.SGD(glow.parameters(), 0.01)
    for _ in range(3):
        optimizer.zero_grad()
        (-glow.log_prob(torch.randn(20, 2, dtype=torch.float64)).mean()).backward()
        optimizer.step()
        z = torch.randn(5, 2, dtype=torch.float64)
        torch.testing.assert_close(glow.to_latent(glow.from_latent(z)[0])[0], z, rtol=1e-7, atol=1e-7)


def test_it_refuses_to_work_before_it_has_seen_data():
    glow = Glow((2,), depth=1, width=4)
    assert not glow.is_initialized
    for call in (lambda: glow.sample((3,)), lambda: glow.log_prob(torch.zeros(3, 2)), lambda: glow.eval().sample((3,))):
        with pytest.raises(ContrastiveError, match="initialize"):
            call()


def test_initialisation_whitens_each_step():
    torch.manual_seed(0)
    x = torch.randn(1000, 3) @ torch.randn(3, 3) + 5
    glow = Glow((3,), depth=4, width=8)
    glow.initialize(x)
    for layer in glow.layers:
        x, _ = layer.inverse(x)
        if isinstance(layer, ActNorm):
            torch.testing.assert_close(x.mean(0), torch.zeros(3), atol=1e-3, rtol=0)
            torch.testing.assert_close(x.std(0, correction=0), torch.ones(3), atol=1e-3, rtol=0)


def test_one_row_initialises_without_nan():
    glow = Glow((2,), depth=2, width=4)
    glow.initialize(torch.tensor([[1.0, 2.0]]))
    assert torch.isfinite(glow.log_prob(torch.tensor([[1.0, 2.0]]))).all()
    assert torch.isfinite(glow.sample((4,))).all()


def test_state_and_copies_remember_everything():
    glow = randomized()
    x = torch.randn(6, 2, dtype=torch.float64)
    twin = Glow((2,), depth=3, width=8).double()
    twin.load_state_dict(glow.state_dict())
    for other in (twin, copy.deepcopy(glow)):
        assert other.is_initialized
        torch.testing.assert_close(other.log_prob(x), glow.log_prob(x))
    fresh = Glow((2,), depth=3, width=8).double()
    twin.load_state_dict(fresh.state_dict())
    assert not twin.is_initialized


@given(st.sampled_from([(), (1,), (7,), (2, 3)]))
def test_rows_are_scored_alone_and_the_same_in_eval(batch):
    glow = randomized()
    x = glow.sample(batch)
    assert x.shape == (*batch, 2)
    assert not x.requires_grad
    together = glow.log_prob(x).reshape(-1)
    alone = [glow.eval().log_prob(row) for row in x.reshape(-1, 2)]
    torch.testing.assert_close(together, torch.stack(alone))
    glow.train()


def test_dtype_is_kept():
    assert randomized().sample((3,)).dtype == torch.float64
    assert randomized(dtype=torch.float32).sample((3,)).dtype == torch.float32


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"event_shape": (1,)}, "2 or more"),
        ({"event_shape": (3, 8, 8)}, "2 or more"),
        ({"event_shape": (2,), "depth": 0}, "at least 1"),
        ({"event_shape": (2,), "bound": math.inf}, "positive bound"),
        ({"event_shape": (2,), "activation": "slu"}, "did you mean 'silu'"),
        ({"event_shape": (2,), "coupling": "splines"}, "did you mean 'spline'"),
        ({"event_shape": (2,), "bins": 1}, "2 to 1000 bins"),
    ],
)
def test_bad_options_are_refused_in_a_sentence(arguments, message):
    with pytest.raises(ContrastiveError, match=message):
        Glow(**arguments)


@parametrize_with_checks(
    [partial(Glow, depth=2, width=8, coupling=coupling) for coupling in ("affine", "spline")],
    kind="conditional",
    event_shape=(2,),
    context_shape=(2,),
    rows=3000,
    only=["jacobian", "round-trip", "gradient-is-pathwise", "copies", "one-pass-draws-match-density"],
)
def test_kit_given_contexts(check):
    check()


def test_a_number_given_a_context_needs_no_other_entry():
    glow = Glow((1,), context_shape=(2,), depth=2, width=8).double()
    x, y = torch.randn(100, 1, dtype=torch.float64), torch.randn(100, 2, dtype=torch.float64)
    glow.initialize(x, given=y)
    assert glow.sample(given=y).shape == (100, 1)
    with pytest.raises(ContrastiveError, match="vectors of 2 or more"):
        Glow((1,), depth=2, width=8)
