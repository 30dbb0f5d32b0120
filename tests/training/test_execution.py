"""Parts of a batch, precision and compilation: the same figures in other ways."""

import subprocess
import sys

import pytest
import torch
from torch.nn.functional import softplus

from contrastive import ContrastiveError, ContrastiveEstimator, fit, make_energy, make_noise
from contrastive.data.sources import Batch
from contrastive.noises import Gaussian
from contrastive.training.execution import check_precision
from contrastive.training.players import Player
from contrastive.training.schedules import Alternate
from contrastive.training.stages import Game, MaximumLikelihood

_IMAGE = (3, 8, 8)


class Kept(Player):
    """A player that keeps its gradient and moves nothing."""

    def step(self, loss, progress):
        before = [p.detach().clone() for p in self.parameters]
        super().step(loss, progress)
        self.gradient = [p.grad.clone() for p in self.parameters]
        with torch.no_grad():
            for parameter, value in zip(self.parameters, before):
                parameter.copy_(value)


class FixedDraws(Gaussian):
    """A Gaussian that gives the same draws, in order, each time it is asked for as many as there are in all."""

    def __init__(self, draws):
        super().__init__(tuple(draws.shape[1:]), loc=0.0)
        self.draws, self.position = draws, 0

    def rsample_and_log_prob(self, sample_shape=torch.Size()):
        z = self.draws[self.position : self.position + sample_shape[0]]
        self.position = (self.position + len(z)) % len(self.draws)
        x = self.loc + z @ (self.below_diagonal.tril(-1) + self.log_diagonal.exp().diag_embed()).mT
        return x, self.log_prob(x)


def gradients(accumulate, mover):
    """Of one move on 30 points against 30 draws, in so many parts."""
    torch.manual_seed(0)
    noise = FixedDraws(torch.randn(30, 3))
    estimator = ContrastiveEstimator(make_energy("mlp", event_shape=(3,), widths=(8,)), noise, adapt_noise=True)
    moves = {"energy": list(estimator.energy.parameters()), "noise": list(noise.parameters())}
    players = {name: Kept(own, [p.detach().clone() for p in own], clip_norm=1e9) for name, own in moves.items()}
    schedule = Alternate(1, 1)
    schedule.mover = mover
    game = Game(estimator, players, schedule, 10, likelihood_weight=0.3, accumulate=accumulate)
    game.update(Batch(torch.randn(30, 3)), 0.0)
    return players[mover].gradient


@pytest.mark.parametrize("mover", ["energy", "noise"])
@pytest.mark.parametrize("parts", [2, 4, 30, 100])
def test_a_batch_in_parts_has_the_gradient_of_the_whole(mover, parts):
    for whole, summed in zip(gradients(1, mover), gradients(parts, mover)):
        torch.testing.assert_close(summed, whole, atol=1e-6, rtol=1e-5)


def test_maximum_likelihood_in_parts_has_the_gradient_of_the_whole():
    found = []
    for parts in (1, 3):
        torch.manual_seed(0)
        noise = make_noise("glow", event_shape=(2,), depth=2, width=8)
        noise.initialize(torch.randn(50, 2))
        estimator = ContrastiveEstimator(make_energy("mlp", event_shape=(2,)), noise, adapt_noise=True)
        own = list(noise.parameters())
        player = Kept(own, [p.detach().clone() for p in own], clip_norm=1e9)
        MaximumLikelihood(estimator, player, 1, accumulate=parts).update(Batch(torch.randn(20, 2)), 0.0)
        found.append(player.gradient)
    for whole, summed in zip(*found):
        torch.testing.assert_close(summed, whole, atol=1e-6, rtol=1e-5)


def test_the_gate_sees_the_whole_batch():
    seen = []

    class Watching(Alternate):
        def update(self, contrast):
            seen.append(contrast)
            super().update(contrast)

    noise = make_noise("diag-gaussian", event_shape=(2,), loc=0.0)
    estimator = ContrastiveEstimator(make_energy("mlp", event_shape=(2,)), noise, adapt_noise=True)
    own = [estimator.log_normalizer, *estimator.energy.parameters()]
    player = Kept(own, [p.detach().clone() for p in own])
    Game(estimator, {"energy": player, "noise": player}, Watching(), 10, accumulate=3).update(
        Batch(torch.randn(10, 2), torch.full((10,), -3.0)), 0.0
    )
    (contrast,) = seen
    assert len(contrast.r_data) == len(contrast.r_noise) == 10
    expected = softplus(-contrast.r_data).mean() + softplus(contrast.r_noise).mean()
    torch.testing.assert_close(contrast.loss, expected)
    assert not contrast.loss.requires_grad


def test_parts_hold_every_point_once_with_its_score():
    batch = Batch(torch.arange(10.0)[:, None], torch.arange(10.0))
    parts = batch.parts(4)
    assert [len(part.z) for part in parts] == [3, 3, 2, 2]
    assert torch.equal(torch.cat([part.z[:, 0] for part in parts]), batch.z[:, 0])
    assert torch.equal(torch.cat([part.fixed for part in parts]), batch.fixed)
    assert [len(part.z) for part in Batch(torch.zeros(2, 1)).parts(5)] == [1, 1]


def far_energy(name, **options):
    """An energy whose values are near 1,000, where bfloat16 tells apart every fourth number only."""
    torch.manual_seed(0)
    energy = make_energy(name, event_shape=_IMAGE, **options)
    with torch.no_grad():
        list(energy.parameters())[-1].fill_(1000.0)
    return energy


@pytest.mark.parametrize(("name", "options"), [("conv", {"widths": (8, 8)}), ("mlp", {"widths": (16,)})])
def test_under_bf16_an_energy_keeps_the_digits_of_f(name, options):
    energy, x = far_energy(name, **options), torch.randn(20, *_IMAGE)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = energy(x)
    exact = energy(x)
    assert rounded.dtype == torch.float32
    assert 0 < float((rounded - exact).detach().abs().max()) < 0.1  # the networks are rounded, the sum is not


@pytest.mark.parametrize("name", ["gaussian", "diag-gaussian", "uniform", "student-t", "gaussian-mixture"])
def test_under_bf16_a_built_in_noise_is_untouched(name):
    x = torch.rand(200, 3) @ torch.randn(3, 3, generator=torch.Generator().manual_seed(0))
    noise = make_noise(name, event_shape=(3,))
    noise.fit(x)
    torch.manual_seed(1)
    exact, draws = noise.log_prob(x), noise.sample(torch.Size([50]))
    with torch.autocast("cpu", torch.bfloat16):
        torch.manual_seed(1)
        assert torch.equal(noise.log_prob(x), exact)
        assert torch.equal(noise.sample(torch.Size([50])), draws)


def test_bf16_is_refused_where_it_would_round_a_log_density():
    noise = make_noise("gaussian", event_shape=(2,))
    estimator = ContrastiveEstimator(make_energy("gaussian", event_shape=(2,)), noise)
    check_precision(estimator, "float32")
    with pytest.raises(ContrastiveError, match="round the log-density of the energy GaussianEnergy"):
        check_precision(estimator, "bf16")
    tilted = ContrastiveEstimator(make_energy("tilted", event_shape=(2,)), noise)
    check_precision(tilted, "bf16")


def test_a_fit_in_bf16_ends_near_the_one_in_float32():
    x = torch.randn(400, 3, 8, 8).cumsum(-1)
    models = {"energy": "conv", "noise": "glow", "energy_options": {"widths": (8, 8)}}
    settings = {**models, "noise_options": {"blocks": 1, "width": 8}, "batch_size": 40, "log_partition_draws": 0}
    settings |= {"method": "fce", "steps": 30, "pretrain_steps": 30, "quiet": True}
    exact, rounded = fit(x, **settings), fit(x, precision="bf16", **settings)
    at = x[:100]
    assert next(rounded.noise.parameters()).dtype == torch.float32
    gap = (exact.noise_log_prob(at) - rounded.noise_log_prob(at)).detach().abs().mean()
    assert 0 < float(gap) < 0.05 * float(exact.noise_log_prob(at).detach().std())


_COMPILED = """
import copy, torch
from contrastive import ContrastiveEstimator, make_energy, make_noise
from contrastive.training.execution import compile_models

torch.manual_seed(0)
noise = make_noise("glow", event_shape=(2,), depth=1, width=4)
noise.initialize(torch.randn(50, 2))
estimator = ContrastiveEstimator(make_energy("mlp", event_shape=(2,), widths=(4,)), noise)
x = torch.randn(7, 2)
f, log_q = estimator.energy(x), noise.log_prob(x)
names = list(estimator.state_dict())
compile_models(estimator)
torch.testing.assert_close(estimator.energy(x), f)
torch.testing.assert_close(noise.log_prob(x), log_q)
assert list(estimator.state_dict()) == names
twin = copy.deepcopy(noise)
with torch.no_grad():
    for parameter in noise.parameters():
        parameter.add_(0.3)
torch.testing.assert_close(twin.log_prob(x), log_q)  # a copy runs its own parameters
assert not torch.allclose(noise.log_prob(x), log_q)
print(torch._dynamo.utils.counters["stats"]["unique_graphs"])
"""


def test_compiled_models_compute_the_same_and_copies_run_their_own_parameters():
    """In a process of its own: the tests' run-time checks of shapes cannot be compiled."""
    done = subprocess.run([sys.executable, "-c", _COMPILED], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 2  # something was compiled: the energy and one direction of the flow


def test_an_energy_with_a_gradient_penalty_is_not_compiled():
    """torch.compile has no second derivative; in 2.13 such a fit ended with a RuntimeError."""
    settings = {"steps": 2, "batch_size": 50, "test_rows": 100, "log_partition_draws": 0, "quiet": True}
    estimator = fit("8gaussians", compile=True, gradient_penalty=0.1, energy_options={"widths": [4]}, **settings)
    assert estimator.energy._compiled_call_impl is None


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_a_resumed_optimiser_goes_on_in_either_memory_format(memory_format):
    """A checkpoint keeps moments in one format; beside parameters in another the fused step mixes their entries up."""

    def player():
        torch.manual_seed(0)
        layer = torch.nn.Conv2d(3, 4, 3).to(memory_format=memory_format)
        return layer, Player(layer.parameters(), [p.clone() for p in layer.parameters()], decay="constant")

    x = torch.randn(5, 3, 8, 8)
    (layer, whole), (other, resumed) = player(), player()
    whole.step(layer(x).square().mean(), 0.0)
    state = whole.state_dict()
    other.load_state_dict(layer.state_dict())
    tensors = {name: tensor.clone().contiguous() for name, tensor in state["tensors"].items()}
    resumed.load_state_dict({"tensors": tensors, "counters": state["counters"]})
    for model, one in ((layer, whole), (other, resumed)):
        one.step(model(x).square().mean(), 0.0)
    torch.testing.assert_close(other.weight, layer.weight)
    assert other.weight.is_contiguous(memory_format=memory_format)
