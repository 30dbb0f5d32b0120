"""Whether the image flow's density is right: the conformance kit, the full autograd Jacobian, normflows, torch."""

import math
import subprocess
import sys
from functools import partial
from typing import Any

import pytest
import torch
from contrastive_glow import Glow, ImageGlow
from helpers.flow_checks import assert_log_det_is_the_jacobians, randomize
from normflows.flows import GlowBlock
from torch.distributions import Normal

from contrastive import make_noise
from contrastive.protocols import AdaptiveNoise, InitializableNoise, InvertibleNoise
from contrastive.testing import SUITES, check_adaptive_noise
from contrastive.testing.densities import DENSITY

CHEAP = [check.name for check in SUITES["noise"] if check not in DENSITY]
BARE = {"learned_split_prior": False, "scaled_zero_convolutions": False}


def small(shape=(1, 4, 4), dtype=torch.float64, scale=0.2, **options):
    """A small flow, far from its start."""
    glow = ImageGlow(shape, **{"blocks": 2, "width": 8, **options}).to(dtype)
    glow.initialize(2 * torch.randn(100, *shape, dtype=dtype) + 1)
    return randomize(glow, scale)


@pytest.mark.parametrize(
    ("shape", "options", "only"),
    [
        ((1, 4, 4), {}, None),
        ((1, 4, 4), {"coupling": "additive", "convolution": "plain"}, None),
        ((1, 4, 4), BARE, None),
        ((3, 4, 4), {"convolution": "plain"}, CHEAP),
        ((2, 8, 8), {"coupling": "additive"}, CHEAP),
        ((1, 2, 2), {"coupling": "spline"}, CHEAP),
        ((1, 2, 6), {"checkpoint_activations": True}, CHEAP),
    ],
)
def test_it_passes_the_conformance_kit(shape, options, only):
    factory = partial(make_noise, "glow", event_shape=shape, blocks=2, width=8, **options)
    outcomes = check_adaptive_noise(factory, event_shape=shape, only=only, rows=4000)
    verdicts = {outcome.check: outcome.verdict for outcome in outcomes}
    assert verdicts["gradient-is-pathwise"] == verdicts["round-trip"] == verdicts["device"] == "passed"
    assert verdicts["jacobian"] == ("passed" if math.prod(shape) <= 64 else "not applicable")
    assert only or verdicts["draws-match-density"] == "passed"


def test_it_is_what_it_claims():
    glow = make_noise("glow", event_shape=(3, 8, 8), blocks=1, width=8)
    assert isinstance(glow, ImageGlow)
    assert isinstance(glow, AdaptiveNoise)
    assert isinstance(glow, InitializableNoise)
    assert isinstance(glow, InvertibleNoise)
    assert isinstance(make_noise("glow", event_shape=(3,), depth=1), Glow)


@pytest.mark.parametrize("options", [{}, BARE, {"coupling": "spline"}, {"coupling": "additive"}])
def test_log_determinants_of_three_levels_are_those_of_the_full_jacobian(options):
    glow = small((1, 8, 8), blocks=1, **options)
    z = torch.randn(1, 1, 8, 8, dtype=torch.float64)
    assert_log_det_is_the_jacobians(glow.from_latent, z)
    assert_log_det_is_the_jacobians(glow.to_latent, glow.from_latent(z)[0].detach())


@pytest.mark.parametrize("convolution", ["lu", "plain"])
@pytest.mark.parametrize("coupling", ["additive", "affine"])
def test_images_come_back_in_float32(coupling, convolution):
    glow = small((3, 32, 32), torch.float32, 0.02, coupling=coupling, convolution=convolution, blocks=4, width=16)
    x = torch.randn(4, 3, 32, 32)
    z, log_det = glow.to_latent(x)
    again, back = glow.from_latent(z)
    torch.testing.assert_close(again, x, rtol=0, atol=1e-4)
    torch.testing.assert_close(log_det, -back, rtol=1e-5, atol=1e-2)


@pytest.mark.parametrize("coupling", ["additive", "affine"])
def test_a_step_is_the_block_of_normflows(coupling):
    """Its W is the transposed one, and the outputs of its networks are shift and log-scale in turns."""
    plain: dict[str, Any] = {"convolution": "plain", "scaled_zero_convolutions": False, "activation": "relu"}
    flow = small((1, 2, 2), coupling=coupling, bound=1e9, **plain)
    norm, convolution, moved = step = flow.layers[0][0]
    block = GlowBlock(4, 8, scale=coupling == "affine", scale_map="exp", use_lu=False).double()
    their_coupling, their_convolution, their_norm = block.flows
    networks = [moved.network[i] for i in (0, 2, 4)], [their_coupling.flows[1].param_map.net[i] for i in (0, 2, 4)]
    with torch.no_grad():
        their_norm.s.copy_(norm.s)
        their_norm.t.copy_(norm.t)
        their_norm.data_dep_init_done.fill_(1)
        their_convolution.W.copy_(convolution.W.mT)
        for ours, theirs in zip(*networks):
            in_turns = ours is networks[0][-1] and coupling == "affine"
            order = torch.tensor([0, 2, 1, 3]) if in_turns else torch.arange(len(ours.bias))
            theirs.weight.copy_(ours.weight[order])
            theirs.bias.copy_(ours.bias[order])
    x = torch.randn(5, 4, 3, 3, dtype=torch.float64)
    torch.testing.assert_close(step.inverse(x), block.inverse(x))
    torch.testing.assert_close(step(x), block(x))


def test_the_split_prior_is_a_normal_density_of_one_half_given_the_other():
    glow = small(blocks=1)
    step, prior, half = glow.layers[0]
    x = torch.randn(6, 1, 4, 4, dtype=torch.float64)
    h, log_det = step.inverse(x.reshape(6, 2, 2, 2, 2).permute(0, 2, 4, 1, 3).flatten(1, 2))
    z1, z2 = h.chunk(2, 1)
    mean, log_scale = prior.network(z1).chunk(2, 1)
    top, deeper = half.level.inverse(z1)
    own = Normal(mean, (2 * (log_scale / 2).tanh()).exp()).log_prob(z2) + Normal(0, 1).log_prob(top)
    torch.testing.assert_close(glow.log_prob(x), own.flatten(1).sum(1) + log_det + deeper)


def test_additive_couplings_keep_volumes():
    glow = small((1, 4, 4), coupling="additive", learned_split_prior=False)
    first, second = glow.layers[0], glow.layers[0][-1].level
    expected = 0.0
    for level, positions in ((first, 4), (second, 1)):
        for norm, convolution, _ in list(level)[:2]:
            expected += positions * (convolution.log_S.sum() - norm.s.sum()).item()
    _, log_det = glow.to_latent(torch.randn(5, 1, 4, 4, dtype=torch.float64))
    torch.testing.assert_close(log_det, torch.full((5,), expected, dtype=torch.float64))


_COMPILED = """
import copy, functools, torch
from contrastive_glow import ImageGlow

torch.compile = functools.partial(torch.compile, backend="eager")  # it is graphs that are counted here
torch.manual_seed(0)
glow = ImageGlow((1, 8, 8), levels=2, blocks=3, width=4)
x, z = torch.randn(5, 1, 8, 8), torch.randn(5, 1, 8, 8)
glow.initialize(x)
expected = glow.to_latent(x), glow.from_latent(z)
names = list(glow.state_dict())
glow.compile()
for _ in range(2):
    torch.testing.assert_close((glow.to_latent(x), glow.from_latent(z)), expected)
assert list(glow.state_dict()) == names
graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
twin = copy.deepcopy(glow)
with torch.no_grad():
    for parameter in glow.parameters():
        parameter.add_(0.3)
torch.testing.assert_close(twin.to_latent(x), expected[0])  # a copy runs its own parameters
assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == graphs
print(graphs)
"""


def test_steps_of_a_level_share_a_compiled_graph():
    """In a process of its own: the tests' run-time checks of shapes cannot be compiled."""
    done = subprocess.run([sys.executable, "-c", _COMPILED], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # Of 6 steps: a graph a level and direction, and one more for the first input, which needs no gradient.
    assert int(done.stdout) == 2 * (2 + 1)
