"""Annealing against the identities that its work must obey, and closed forms.

Statistical tests allow 4.5 standard errors, two-sided false-alarm rate 7e-6, unless they say otherwise.
"""

import itertools
import math

import pytest
import torch
from scipy.stats import binom
from torch.distributions import Independent, Normal

from contrastive import ContrastiveEstimator, make_noise
from contrastive.normalizer.annealing import anneal, annealed_partition, annealing_estimate
from contrastive.normalizer.bridge import bridge_estimate
from contrastive.normalizer.tuning import Schedule, Tuning, annealing_kernels, tune
from contrastive.normalizer.weights import log_weight
from contrastive.sampling.kernels import HMC, IndependenceMetropolis, Latent
from contrastive.testing.oracles import IsingTorus, ShearFlow, constant_oracle, density_oracle, gaussian_oracle

SIGMAS = 4.5
NARROW = gaussian_oracle("narrow", 2, scale=0.3, shift=0.7)


def start(estimator, n):
    return estimator.noise.sample(torch.Size([n]))


def schedule(kernel, length=4):
    return Schedule(torch.linspace(0, 1, length + 1, dtype=torch.float64), (kernel,) * (length - 1))


def works(oracle, plan, n):
    """Forward and reverse work from exact samples of both ends."""
    forward = anneal(oracle.estimator, plan, start(oracle.estimator, n))
    return forward, anneal(oracle.estimator, plan, oracle.sample(n), reverse=True)


def assert_zero_mean(values):
    error = float(values.std()) / math.sqrt(len(values))
    assert abs(float(values.mean())) < SIGMAS * error


@pytest.mark.parametrize(
    "kernel", [HMC(0.4, steps=3, varied=False), IndependenceMetropolis(NARROW.estimator.noise)], ids=["hmc", "imh"]
)
def test_work_obeys_crooks_identity(kernel):
    """E_forward[exp(W) / Z phi(W)] = E_reverse[phi(W)]; phi is bounded so that both sides have a small variance."""
    forward, reverse = works(NARROW, schedule(kernel), 20_000)
    for threshold in (-1.0, 0.0, 1.0):
        r_forward, r_reverse = (w - NARROW.log_z - threshold for w in (forward, reverse))
        # phi = 1 / (1 + exp(W - log Z - threshold))
        left, right = math.exp(threshold) * torch.sigmoid(r_forward), torch.sigmoid(-r_reverse)
        assert_zero_mean(left - right)


def test_steps_drawn_for_all_chains_would_break_the_identity():
    """With HMC that draws one number of steps for all chains, errors stay whatever the number of chains."""
    errors = {}
    for varied in (False, True):
        plan = schedule(HMC(0.25, steps=8, varied=varied), 3)
        off = []
        for _ in range(40):
            forward, reverse = works(NARROW, plan, 1_000)
            estimate = annealing_estimate(forward, reverse[:, None])
            off.append((estimate.log_z - NARROW.log_z) / estimate.standard_error)
        errors[varied] = float(torch.tensor(off).square().mean())
    # Chi-squared with 40 degrees of freedom over 40: below 2.4 but for one in 1e7.
    assert errors[False] < 2.4 < errors[True]


def test_forward_lies_below_and_reverse_above_on_average():
    forward, reverse = (
        w.reshape(2_000, 10) for w in works(NARROW, schedule(HMC(0.3, steps=3, varied=False), 3), 20_000)
    )
    below = forward.logsumexp(1) - math.log(10) - NARROW.log_z
    above = math.log(10) - (-reverse).logsumexp(1) - NARROW.log_z
    for values, sign in ((below, -1), (above, 1)):
        assert sign * float(values.mean()) > SIGMAS * float(values.std()) / math.sqrt(2_000)


def test_one_temperature_is_the_bridge():
    forward, reverse = works(NARROW, schedule(HMC(), 1), 500)
    z = NARROW.sample(500)
    torch.testing.assert_close(
        anneal(NARROW.estimator, schedule(HMC(), 1), z, reverse=True), log_weight(NARROW.estimator, z)
    )
    assert annealing_estimate(forward, reverse[:, None]).log_z == bridge_estimate(reverse[:, None], forward).log_z


def test_annealed_intervals_cover_at_the_stated_rate():
    plan, trials, paths = schedule(HMC(0.3, steps=3, varied=False), 8), 300, 200
    forward, reverse = works(NARROW, plan, trials * paths)
    hits = 0
    for w, v in zip(forward.split(paths), reverse.split(paths)):
        estimate = annealing_estimate(w, v[:, None])
        hits += estimate.low <= NARROW.log_z <= estimate.high
    low, high = binom.ppf([5e-5, 1 - 5e-5], trials, 0.95)
    assert low <= hits <= high


def test_temperatures_are_evenly_spaced_in_the_fisher_metric():
    """From N(0, 1) to N(0, s^2), path precision t = 1 + b (1/s^2 - 1): ds ~ db / t, so t is geometric."""
    target = 1 / 0.3**2
    betas = torch.linspace(0, 1, 400, dtype=torch.float64)
    precision = 1 + betas * (target - 1)
    spread = (target - 1) / (math.sqrt(2) * precision)
    tuning = Tuning((HMC(),), betas, spread, torch.zeros(400, 1, dtype=torch.float64), torch.zeros(1, 1))
    found = 1 + tuning.schedule(6).betas * (target - 1)
    torch.testing.assert_close(found, target ** (torch.arange(7, dtype=torch.float64) / 6), rtol=2e-3, atol=0)


def test_along_a_flow_kernels_take_turns_and_the_work_is_right():
    flow = ShearFlow(2)
    target = Independent(Normal(torch.tensor([1.0, 2.0]), 0.3 * torch.ones(2)), 1)
    oracle = density_oracle("off the flow", target, flow, 1.5)
    plan = tune(oracle.estimator, 500).schedule(12)
    assert [type(kernel) for kernel in plan.kernels[:3]] == [Latent, HMC, Latent]
    forward, reverse = works(oracle, plan, 2_000)
    estimate = annealing_estimate(forward, reverse[:, None])
    assert abs(estimate.log_z - 1.5) < SIGMAS * estimate.standard_error
    assert estimate.standard_error < 0.05


def test_tuning_ends_at_the_ebm_with_accepted_steps():
    oracle = gaussian_oracle("narrow", 10, scale=0.2, shift=0.5)
    tuning = tune(oracle.estimator, 2_000)
    assert tuning.betas[0] == 0
    assert tuning.betas[-1] == 1
    assert all(a < b for a, b in itertools.pairwise(tuning.betas.tolist()))
    particles = tuning.particles
    assert float((particles.mean(0) - 0.5).abs().max()) < SIGMAS * 0.2 / math.sqrt(2_000) * 2
    assert float((particles.std(0) / 0.2 - 1).abs().max()) < 0.15
    # The step sizes, held, are accepted about as often as they should be at the cold end.
    kernel = tuning.schedule(64).kernels[-1]
    state = kernel.begin(particles, oracle.estimator.energy)
    acceptance = kernel.step(state, oracle.estimator.energy)[0].acceptance["local"].mean()
    assert 0.6 < float(acceptance) < 0.999


def test_paths_are_doubled_until_forward_and_reverse_agree():
    oracle = gaussian_oracle("narrow", 10, scale=0.3)
    tuning = tune(oracle.estimator, 400)
    samples = oracle.sample(400)[:, None]
    short = annealed_partition(oracle.estimator, tuning, samples, max_temperatures=8)
    assert "forward and reverse annealing differ" in str(short)
    long = annealed_partition(oracle.estimator, tuning, samples, max_temperatures=512)
    assert long.is_reliable
    assert long.diagnostics["temperatures"] > 8
    assert abs(long.diagnostics["forward"] - long.diagnostics["reverse_approximate"]) <= 0.1
    assert abs(long.log_z - oracle.log_z) < SIGMAS * long.standard_error


def test_kernels_suit_the_noise():
    def kinds(estimator):
        return [type(kernel) for kernel in annealing_kernels(estimator, start(estimator, 10))]

    assert kinds(constant_oracle("flow", 4, 1.0).estimator) == [Latent, HMC]
    assert kinds(NARROW.estimator) == [HMC]
    spins = ContrastiveEstimator(IsingTorus(3, 0.2), make_noise("bernoulli-spins", event_shape=(9,), probability=0.5))
    assert kinds(spins) == [IndependenceMetropolis]
    assert tune(spins, 200).particles.abs().eq(1).all()
