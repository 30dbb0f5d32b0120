"""Each transition leaves an exactly known density invariant, and is what its formula says."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal

from contrastive import make_noise
from contrastive.noises.distribution import DistributionNoise
from contrastive.sampling import run_chains
from contrastive.sampling.kernels import (
    HMC,
    INDEPENDENCE,
    LATENT,
    LOCAL,
    MALA,
    Alternating,
    IndependenceMetropolis,
    Latent,
    leapfrog,
)
from contrastive.testing.statistics import normal_threshold, random_cosines

FALSE_ALARM = 1e-6


def banana(z):
    """log p + 3 of z1 ~ N(0, 1), z2 | z1 ~ N(z1^2 / 2, 0.6^2)."""
    return 3.0 - z[:, 0].square() / 2 - ((z[:, 1] - z[:, 0].square() / 2) / 0.6).square() / 2


def banana_draws(n):
    z = torch.randn(n, 2)
    return torch.stack([z[:, 0], z[:, 0].square() / 2 + 0.6 * z[:, 1]], 1)


class Sinh(nn.Module):
    """A flow whose volume changes from place to place: x = sinh(u), u standard normal."""

    event_shape = torch.Size([2])

    def to_latent(self, x):
        return x.asinh(), -0.5 * (1 + x.square()).log().sum(-1)

    def from_latent(self, z):
        return z.sinh(), z.cosh().log().sum(-1)

    def log_prob(self, value):
        u, log_det = self.to_latent(value)
        return Normal(0.0, 1.0).log_prob(u).sum(-1) + log_det

    def sample(self, sample_shape=torch.Size()):
        return torch.randn(*sample_shape, 2).sinh()


class SinhWithoutVolume(Sinh):
    def from_latent(self, z):
        return z.sinh(), torch.zeros(len(z))


def wide_noise():
    return DistributionNoise(Independent(Normal(torch.tensor([0.0, 0.5]), torch.tensor([1.5, 1.5])), 1))


def largest_z(a, b):
    """The largest standardised difference of the means of 60 random cosines."""
    both = random_cosines(torch.cat([a, b]), a.mean(0), a.std(0), 60)[:, 1:]
    a, b = both[: len(a)], both[len(a) :]
    return float(((a.mean(0) - b.mean(0)) / (a.var(0) / len(a) + b.var(0) / len(b)).sqrt()).abs().max())


def moved(kernel, steps=6, chains=60_000):
    """How far chains that start at exact draws are from exact draws after a few transitions."""
    state = kernel.begin(banana_draws(chains), banana)
    for _ in range(steps):
        state, _ = kernel.step(state, banana)
    return largest_z(state.position, banana_draws(chains))


def kernels():
    noise, flow = wide_noise(), Sinh()
    return {
        "independence": IndependenceMetropolis(noise),
        "mala": MALA(0.9),
        "hmc": HMC(0.6, steps=5),
        "hmc, scaled": HMC(0.6, steps=5, scale=torch.tensor([1.0, 0.5]), varied=False),
        "latent": Latent(HMC(0.6, steps=4), flow),
        "mixed": Alternating(IndependenceMetropolis(flow), (MALA(0.9), Latent(HMC(0.6, steps=3), flow)), moves=2),
    }


@pytest.mark.parametrize("name", kernels())
def test_every_kernel_leaves_the_density_invariant(name):
    """Chains are independent of each other: a z-test on 60 random cosines, false-alarm rate 1e-6."""
    assert moved(kernels()[name]) < normal_threshold(FALSE_ALARM, 60)


class Unadjusted(MALA):
    """Langevin steps, every one accepted."""

    def step(self, state, target):
        log_density, gradient = state.log_density, state.memory
        z = state.position + self.step_size**2 / 2 * gradient + self.step_size * torch.randn_like(gradient)
        return self.begin(z, target), torch.ones_like(log_density, dtype=torch.bool)


@pytest.mark.parametrize("kernel", [Unadjusted(0.9), Latent(HMC(0.6, steps=4), SinhWithoutVolume())])
def test_the_test_finds_a_missing_metropolis_step_and_a_missing_determinant(kernel):
    assert moved(kernel) > 2 * normal_threshold(FALSE_ALARM, 60)


def test_the_latent_density_is_the_pulled_back_one():
    flow, u = Sinh(), torch.randn(7, 2, dtype=torch.float64)
    jacobian = torch.func.vmap(torch.func.jacrev(lambda v: flow.from_latent(v[None])[0][0]))(u)
    expected = banana(u.sinh()) + torch.linalg.slogdet(jacobian).logabsdet
    torch.testing.assert_close(Latent(HMC(), flow).pulled_back(banana)(u), expected)


def test_a_latent_chain_that_stays_keeps_its_place_to_the_last_bit():
    z = banana_draws(1000)
    kernel = Latent(HMC(1.0), Sinh())
    state, accepted = kernel.step(kernel.begin(z, banana), banana)
    assert 0 < accepted.sum() < 1000
    assert torch.equal(state.position[~accepted], z[~accepted])
    torch.testing.assert_close(state.log_density, banana(state.position), rtol=1e-4, atol=1e-4)


def test_independence_metropolis_is_in_detailed_balance():
    """Transition frequencies from each of 4 states against q(y) min(1, w(y) / w(x)); false-alarm rate 1e-6."""
    noise = make_noise("bernoulli-spins", event_shape=(2,), probability=[0.3, 0.6])
    states = torch.tensor([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
    log_p, log_q = torch.tensor([0.2, -1.0, 1.3, 0.4]), noise.log_prob(states)

    def index(z):
        return ((z[:, 0] > 0) * 2 + (z[:, 1] > 0)).long()

    n, kernel = 100_000, IndependenceMetropolis(noise)
    log_w = log_p - log_q
    exact = log_q.exp() * (log_w[None] - log_w[:, None]).clamp(max=0).exp()
    exact = exact - exact.diag().diag()
    exact = exact + (1 - exact.sum(1)).diag()
    flow = log_p.exp()[:, None] * exact
    torch.testing.assert_close(flow, flow.T)
    for k, state in enumerate(states):
        start = kernel.begin(state.expand(n, 2), lambda z: log_p[index(z)])
        end, _ = kernel.step(start, lambda z: log_p[index(z)])
        seen = torch.bincount(index(end.position), minlength=4) / n
        z = (seen - exact[k]) / (exact[k] * (1 - exact[k]) / n).sqrt()
        assert z.abs().max() < normal_threshold(FALSE_ALARM, 16)


def test_malas_acceptance_is_the_closed_form():
    """min(1, p(z') k(z | z') / p(z) k(z' | z)) with k(. | z) = N(z + (eps s)^2 grad / 2, (eps s)^2)."""
    z, scale, eps = banana_draws(500).double(), torch.tensor([1.0, 0.5], dtype=torch.float64), 0.9
    kernel = MALA(eps, scale=scale)
    start = kernel.begin(z, banana)
    end, accepted = kernel.step(start, banana)

    def log_kernel(to, state):
        mean = state.position + (eps * scale) ** 2 / 2 * state.memory
        return Normal(mean, eps * scale).log_prob(to).sum(1)

    log_ratio = end.log_density + log_kernel(z, end) - start.log_density - log_kernel(end.position, start)
    assert 100 < accepted.sum() < 490
    torch.testing.assert_close(end.acceptance[LOCAL][accepted], log_ratio.clamp(max=0).exp()[accepted])


def quartic(z):
    """f = -sum z^4 / 4 - z1 z2 and its gradient, differentiable."""
    return -z.pow(4).sum(1) / 4 - z[:, 0] * z[:, 1], -z.pow(3) - z.flip(1)


def integrate(z, p, step_size, steps):
    return leapfrog(z, p, quartic(z)[1], quartic, step_size=step_size, scale=torch.tensor([1.0, 0.7]), steps=steps)


def test_leapfrog_is_reversible_and_keeps_volume():
    z, p = torch.randn(20, 2, dtype=torch.float64), torch.randn(20, 2, dtype=torch.float64)
    end, momentum, *_ = integrate(z, p, 0.2, 7)
    back, flipped, *_ = integrate(end, -momentum, 0.2, 7)
    torch.testing.assert_close(back, z)
    torch.testing.assert_close(-flipped, p)

    def flow(both):
        return torch.cat([part[0] for part in integrate(both[None, :2], both[None, 2:], 0.2, 7)[:2]])

    for both in torch.cat([z, p], 1):
        determinant = torch.linalg.det(torch.autograd.functional.jacobian(flow, both))
        assert float(determinant) == pytest.approx(1.0, abs=1e-10)


def test_leapfrogs_energy_error_is_of_second_order():
    z, p = torch.randn(200, 2, dtype=torch.float64) / 2, torch.randn(200, 2, dtype=torch.float64)

    def error(steps):
        _, end, f, _ = integrate(z, p, 1.0 / steps, steps)
        return float((f - quartic(z)[0] - end.square().sum(1) / 2 + p.square().sum(1) / 2).abs().mean())

    assert error(20) / error(40) == pytest.approx(4.0, rel=0.1)
    assert error(40) / error(80) == pytest.approx(4.0, rel=0.05)


@pytest.mark.parametrize("sigma", [0.5, 0.9, 2.0])
def test_independence_acceptance_between_gaussians(sigma):
    """p = N(0, sigma^2), q = N(0, 1) in one dimension: a = (4 / pi) arctan(min(sigma, 1 / sigma))."""
    noise = DistributionNoise(Independent(Normal(torch.zeros(1), torch.ones(1)), 1))
    kernel, n = IndependenceMetropolis(noise), 200_000

    def target(z):
        return -(z[:, 0] / sigma).square() / 2

    end, _ = kernel.step(kernel.begin(sigma * torch.randn(n, 1), target), target)
    rates = end.acceptance[INDEPENDENCE]
    exact = 4 / math.pi * math.atan(min(sigma, 1 / sigma))
    assert abs(float(rates.mean()) - exact) < normal_threshold(FALSE_ALARM) * float(rates.std()) / math.sqrt(n)


@pytest.mark.parametrize(("kernel", "wanted"), [(MALA(), 0.574), (HMC(), 0.75), (Latent(HMC(), Sinh()), 0.75)])
@pytest.mark.parametrize("off", [0.05, 20.0])
def test_warm_up_reaches_the_target_acceptance(kernel, wanted, off):
    kernel = kernel.with_step_size(kernel.step_size * off)
    run = run_chains(kernel, banana_draws(200), banana, draws=200, warmup=200)
    assert run.acceptance[kernel.kind] == pytest.approx(wanted, abs=0.05)


def test_each_kind_of_move_has_its_own_step_size():
    kernel = Alternating(IndependenceMetropolis(Sinh()), (MALA(), Latent(HMC(), Sinh())))
    run = run_chains(kernel, banana_draws(200), banana, draws=200, warmup=200)
    assert run.acceptance[LOCAL] == pytest.approx(0.574, abs=0.05)
    assert run.acceptance[LATENT] == pytest.approx(0.75, abs=0.05)
    assert 0 < run.acceptance[INDEPENDENCE] < 1


def test_step_sizes_are_frozen_after_warm_up():
    seen = []

    class Watched(HMC):
        def step(self, state, target):
            seen.append(float(self.step_size))
            return super().step(state, target)

    run_chains(Watched(), banana_draws(20), banana, draws=30, warmup=40)
    assert len(set(seen[:40])) > 30
    assert len(set(seen[40:])) == 1


def hostile(z):
    """Normal within the unit disc, NaN or +inf beyond; it must not be asked where z is not finite."""
    assert z.isfinite().all(), "the model saw a point that is not finite"
    beyond = torch.where(z[:, 1] > 0, torch.nan, torch.inf)
    return torch.where(z.norm(dim=1) < 1, -z.square().sum(1) / 2, beyond)


@pytest.mark.parametrize("name", ["independence", "mala", "hmc", "latent", "mixed"])
def test_what_is_not_finite_never_enters_a_chain(name):
    kernel = kernels()[name]
    state = kernel.begin(torch.rand(500, 2) / 2, hostile)
    ever = torch.zeros(500, dtype=torch.bool)
    for _ in range(10):
        state, accepted = kernel.step(state, hostile)
        ever |= accepted
        assert (state.position.norm(dim=1) < 1).all()
        assert state.log_density.isfinite().all()
    assert ever.float().mean() > 0.5


def test_steps_that_overflow_are_rejected():
    kernel = HMC(1e20, steps=30, varied=False)
    start = kernel.begin(torch.rand(100, 2) / 2, hostile)
    end, accepted = kernel.step(start, hostile)
    assert not accepted.any()
    assert torch.equal(end.position, start.position)
