"""zuko's flows against the full autograd Jacobian, quadrature and zuko itself; parameters are randomised first."""

import subprocess
import sys
from functools import partial

import pytest
import torch
from contrastive_zuko import FLOWS, ZukoFlow, iaf, maf, make_flow, nsf
from contrastive_zuko.inverse import invert
from helpers.flow_checks import assert_inverse, assert_log_det_is_the_jacobians, randomize
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Distribution, Normal
from zuko.flows import NAF
from zuko.transforms import MonotonicTransform

from contrastive import ContrastiveError, available_noises, make_noise
from contrastive.protocols import AdaptiveNoise, InvertibleNoise
from contrastive.testing import parametrize_with_checks

SMALL = {
    "maf": {"transforms": 2},
    "nsf": {"transforms": 2, "bins": 4},
    "nice": {"transforms": 2},
    "realnvp": {"transforms": 2},
    "naf": {"transforms": 2, "signal": 4, "network": {"hidden_features": [8]}},
    "sospf": {"degree": 2, "polynomials": 2},
    "bpf": {"degree": 6},
}


def small(flow, dim=3, seed=0, dtype=torch.float64, scale=0.3):
    """A small flow, far from its start."""
    torch.manual_seed(seed)
    noise = make_flow(flow, (dim,), hidden_features=[8], **SMALL[flow]).to(dtype)
    noise.initialize(2 * torch.randn(200, dim, dtype=dtype) + 1)
    return randomize(noise, scale)


def small_preset(preset, dim=3, dtype=torch.float64, **options):
    noise = preset((dim,), transforms=2, width=8, **options).to(dtype)
    noise.initialize(2 * torch.randn(200, dim, dtype=dtype) + 1)
    return randomize(noise, 0.3)


def test_every_flow_is_registered():
    assert {f"zuko/{flow}" for flow in FLOWS} | {"maf", "iaf", "nsf"} <= set(available_noises())
    assert set(SMALL) | {"gmm"} == set(FLOWS)


@pytest.mark.parametrize("flow", SMALL)
def test_log_determinants_are_those_of_the_full_jacobian(flow):
    noise = small(flow)
    z = torch.randn(4, 3, dtype=torch.float64)
    assert_log_det_is_the_jacobians(noise.from_latent, z)
    assert_log_det_is_the_jacobians(noise.to_latent, noise.from_latent(z)[0].detach())


@pytest.mark.parametrize("flow", SMALL)
def test_maps_are_inverse_to_each_other(flow):
    noise = small(flow)
    assert_inverse(noise.from_latent, noise.to_latent, torch.randn(50, 3, dtype=torch.float64), 1e-5)


@pytest.mark.parametrize("flow", ["naf", "sospf", "bpf"])
def test_inverses_found_by_bisection_have_the_gradient_of_every_parameter(flow):
    """Against central differences, in eval mode, where zuko's own have not."""
    noise = small(flow, dim=2).eval()
    z = torch.randn(20, 2, dtype=torch.float64)

    def functional():
        x, log_det = noise.from_latent(z)
        return (x.sin().sum(-1) + 0.3 * log_det).mean()

    parameters = list(noise.parameters())
    gradients = torch.autograd.grad(functional(), parameters)
    for parameter, gradient in zip(parameters, gradients):
        direction = torch.randn_like(parameter)
        with torch.no_grad():
            parameter.add_(1e-6 * direction)
            above = functional()
            parameter.sub_(2e-6 * direction)
            below = functional()
            parameter.add_(1e-6 * direction)
        torch.testing.assert_close((above - below) / 2e-6, (gradient * direction).sum(), rtol=1e-4, atol=1e-7)


@given(seed=st.integers(0, 10_000), size=st.sampled_from([1e-3, 1.0, 1e3, 1e8]))
def test_a_root_is_found_anywhere_on_the_line_to_the_last_digits(seed, size):
    torch.manual_seed(seed)
    slope, bend = torch.rand(2, dtype=torch.float64) + 0.1
    y = size * torch.randn(50, dtype=torch.float64)
    transform = MonotonicTransform(lambda x: slope * x + bend * x.tanh())
    x = invert(transform, y)
    torch.testing.assert_close(transform(x), y, rtol=1e-12, atol=1e-12)


def test_soft_clips_lose_probability_and_are_taken_out():
    """On the line the mass of q is that of the normal density between the images of both ends."""

    def mass(mapping):
        low, high = mapping(torch.tensor([[-1e9], [1e9]]).double()).detach().flatten()
        return float(torch.special.ndtr(high) - torch.special.ndtr(low))

    flow = NAF(1, transforms=2, signal=4, network={"hidden_features": (8,)}).double()
    assert mass(flow.transform()) < 0.99, "zuko has mended its soft clips: they can stay"
    noise = ZukoFlow((1,), flow)
    noise.initialize(torch.randn(100, 1).double())
    assert mass(lambda x: noise.to_latent(x)[0]) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("flow", SMALL)
@pytest.mark.parametrize("size", [1.0, 1e3, 1e6])
def test_far_points_are_no_nan_in_float32(flow, size):
    noise = small(flow, dtype=torch.float32)
    log_q = noise.log_prob(size * torch.randn(200, 3))
    assert not log_q.isnan().any()
    assert not (log_q == torch.inf).any()
    assert torch.isfinite(noise.sample((1000,))).all()


@pytest.mark.parametrize("structure", ["autoregressive", "coupling"])
def test_extreme_splines_draw_finite_points_in_float32(structure):
    noise = nsf((4,), width=16, transforms=2, structure=structure)
    noise.initialize(torch.randn(100, 4))
    randomize(noise, 3.0)
    x, log_q = noise.rsample_and_log_prob((5000,))
    assert torch.isfinite(x).all()
    assert torch.isfinite(log_q).all()
    gradients = torch.autograd.grad(log_q.mean() + x.square().mean(), list(noise.parameters()))
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


def test_iaf_is_maf_the_other_way_round():
    noise = small_preset(iaf)
    other = small_preset(maf)
    for buffers in (noise, other):
        buffers.loc.zero_()
        buffers.log_scale.zero_()
    other.load_state_dict(
        {name.replace("transform.transform.", "transform."): v for name, v in noise.state_dict().items()}
    )
    x = torch.randn(10, 3, dtype=torch.float64)
    for ours, theirs in zip(noise.from_latent(x), other.to_latent(x)):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(("structure", "passes"), [("autoregressive", 4), ("coupling", 2)])
def test_a_draw_of_nsf_takes_as_many_passes_as_its_structure_says(structure, passes):
    noise = nsf((4,), structure=structure, width=8, bins=4, transforms=1)
    assert [t.passes for t in noise.lazy.transform.transforms] == [passes]


def test_events_of_any_shape_are_flattened_and_standardised():
    torch.manual_seed(0)
    x = 1000 + 50 * torch.randn(2000, 2, 3)
    noise = nsf((2, 3), width=8)
    noise.initialize(x)
    flat = nsf((6,), width=8)
    flat.initialize(x.flatten(1))
    flat.load_state_dict(noise.state_dict())
    torch.testing.assert_close(noise.log_prob(x), flat.log_prob(x.flatten(1)))
    drawn = noise.sample((500,))
    assert drawn.shape == (500, 2, 3)
    assert float((drawn.mean(0) - 1000).abs().max()) < 100
    z, _ = noise.to_latent(x)
    assert z.shape == x.shape


def test_a_constant_number_is_standardised_without_infinities():
    noise = maf((2,), width=8)
    x = torch.stack([torch.randn(100), torch.full((100,), 3.0)], 1)
    noise.initialize(x)
    assert torch.isfinite(noise.log_prob(x)).all()


def test_a_mixture_adapts_by_the_score_function_and_a_flow_by_its_paths():
    gmm, flow = make_noise("zuko/gmm", event_shape=(2,), components=3), make_noise("zuko/nsf", event_shape=(2,))
    assert not isinstance(gmm, AdaptiveNoise)
    assert not isinstance(gmm, InvertibleNoise)
    assert isinstance(flow, AdaptiveNoise)
    assert isinstance(flow, InvertibleNoise)


def test_it_refuses_to_work_before_it_has_seen_data():
    noise = maf((2,), width=8)
    for call in (lambda: noise.sample((3,)), lambda: noise.log_prob(torch.zeros(3, 2)), noise.rsample_and_log_prob):
        with pytest.raises(ContrastiveError, match="initialize"):
            call()


def test_options_reach_zuko_by_name():
    noise = make_noise("zuko/nsf", event_shape=(3,), transforms=2, bins=16, hidden_features=[5], activation="tanh")
    first, second = noise.lazy.transform.transforms
    assert second.shapes == [(16,), (16,), (15,)]
    assert [type(layer).__name__ for layer in first.hyper] == ["MaskedLinear", "Tanh", "MaskedLinear"]
    assert first.hyper[0].out_features == 5


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("zuko/nsf", {"binz": 4}, "no option 'binz'; it has bins, slope, transforms"),
        ("zuko/nsf", {"bins": "many"}, "a positive whole number for bins, got 'many'; its options: bins,"),
        ("zuko/nsf", {"bins": True}, "a positive whole number for bins"),
        ("zuko/nsf", {"slope": -1}, "a positive number for slope"),
        ("zuko/nsf", {"randperm": 1}, "true or false for randperm"),
        ("zuko/maf", {"hidden_features": [8, 0]}, "positive whole numbers such as 64,64 for hidden_features"),
        ("zuko/maf", {"activation": "sine"}, "one of silu, relu"),
        ("zuko/maf", {"activation": [1]}, "one of silu, relu"),
        ("zuko/naf", {"network": 3}, "a mapping such as"),
        ("zuko/naf", {"network": {"depth": 3}}, "network has no option 'depth'; it has hidden_features"),
        ("zuko/gmm", {"covariance_type": "round"}, "one of full, diagonal, spherical"),
        ("zuko/gmm", {"event_shape": (0,)}, "one number or more"),
        ("maf", {"width": 0}, "a positive whole number for width"),
        ("nsf", {"structure": "coupled"}, "did you mean 'coupling'"),
        ("nsf", {"bins": 2.5}, "a positive whole number for bins"),
        ("nsf", {"bin": 2}, "did you mean 'bins'"),
    ],
)
def test_bad_options_are_refused_in_a_sentence(name, options, message):
    with pytest.raises(ContrastiveError, match=message):
        make_noise(name, **{"event_shape": (2,), **options})


def test_importing_the_plugins_leaves_torch_as_it_was():
    """In a process of its own, since here zuko is imported already."""
    program = """
from torch.distributions import Distribution, Normal
before = dict(vars(Distribution))
import {plugin}, zuko
assert vars(Distribution) == before
try:
    Normal(0.0, -1.0)
except ValueError:
    print("refused")
import torch
noise = zuko.flows.NSF(2)
assert noise().log_prob(noise().sample((3,))).shape == (3,)  # zuko works on, with torch's validation
"""
    for plugin in ("contrastive_zuko", "contrastive_autoregressive"):
        done = subprocess.run([sys.executable, "-c", program.format(plugin=plugin)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "refused" in done.stdout


def test_use_leaves_torchs_validation_on_and_lets_nan_pass():
    noise = small("bpf", dtype=torch.float32)
    assert noise.log_prob(torch.tensor([[torch.nan, 0.0, 0.0], [0.1, 0.2, 0.3]])).isnan().tolist() == [True, False]
    assert Distribution._validate_args
    with pytest.raises(ValueError, match="scale"):
        Normal(0.0, -1.0)


@pytest.mark.parametrize("preset", [maf, iaf, nsf])
def test_a_whitened_flow_counts_the_map_and_parts_nearly_collinear_columns(preset):
    noise = small_preset(preset, whiten=True)
    z = torch.randn(4, 3, dtype=torch.float64)
    assert_log_det_is_the_jacobians(noise.from_latent, z)
    assert_log_det_is_the_jacobians(noise.to_latent, noise.from_latent(z)[0].detach())
    x, log_q = noise.rsample_and_log_prob(torch.Size([20]))
    torch.testing.assert_close(noise.log_prob(x), log_q)
    a, b, c = torch.randn(3, 3000, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    x = torch.stack([a, a + 1e-3 * b, c], 1)
    start = {}
    for whiten in (False, True):
        torch.manual_seed(0)
        flow = preset((3,), transforms=1, width=8, whiten=whiten).double()
        flow.initialize(x)
        start[whiten] = flow.log_prob(x).mean()
    assert start[True] > start[False] + 3


@parametrize_with_checks(
    [partial(make_flow, flow, hidden_features=[8], **SMALL[flow]) for flow in SMALL],
    kind="conditional",
    event_shape=(2,),
    context_shape=(1,),
    only=["jacobian"],
)
def test_jacobians_given_contexts(check):
    check()


@parametrize_with_checks(
    [partial(maf, transforms=2, width=8, whiten=True)],
    kind="conditional",
    event_shape=(2,),
    context_shape=(2,),
    rows=3000,
    only=["jacobian", "round-trip", "draws-match-density", "copies", "score-identity", "gradient-is-pathwise"],
)
def test_kit_given_contexts(check):
    check()
