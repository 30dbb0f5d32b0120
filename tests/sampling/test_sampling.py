"""Samples of the energy-based model: right in law, honest about themselves, refused in one sentence."""

import itertools
import json
import math

import numpy as np
import pytest
import torch
from helpers.runs import table_run
from torch import nn
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal, StudentT

from contrastive import ContrastiveError, ContrastiveEstimator, make_density, make_energy, make_noise
from contrastive.cli.main import main
from contrastive.data.scaling import Scaling
from contrastive.sampling import overlap, sample_energy
from contrastive.sampling.diagnostics import effective_size, largest_r_hat
from contrastive.sampling.samplers import KERNELS
from contrastive.testing.statistics import normal_threshold

FALSE_ALARM = 1e-6


class Energy(nn.Module):
    """A density's log_prob as an energy; the constant must not matter."""

    def __init__(self, log_prob, **attributes):
        super().__init__()
        self.log_prob = log_prob
        self.__dict__.update(attributes)

    def forward(self, x):
        return self.log_prob(x) + 7.0


def gaussian(loc, scale, dim=2):
    return Independent(Normal(torch.full((dim,), float(loc)), float(scale)), 1)


def estimator_of(target, noise=None, **settings):
    return ContrastiveEstimator(Energy(target), noise or gaussian(0, 1.5), **settings)


def mmd_p_value(a, b, permutations=999):
    """p-value of the kernel two-sample test (Gretton et al. 2012): mixture of Gaussian kernels, permuted labels."""
    both = torch.cat([a, b]).double()
    distances = torch.cdist(both, both).square()
    scale = distances.median()
    gram = sum(torch.exp(-distances / (scale * factor)) for factor in (0.01, 0.1, 1.0))
    signs = torch.cat([torch.ones(len(a)), -torch.ones(len(b))]).double()
    statistic = signs @ gram @ signs
    shuffled = torch.stack([signs[torch.randperm(len(signs))] for _ in range(permutations)], 1)
    return float((1 + ((shuffled * (gram @ shuffled)).sum(0) >= statistic).sum()) / (1 + permutations))


@pytest.fixture(scope="module")
def eight():
    """The 8-Gaussians density as the energy, with a fitted mixture of four as the noise."""
    density = make_density("8gaussians")
    torch.manual_seed(0)
    noise = make_noise("gaussian-mixture", event_shape=(2,), components=4)
    noise.fit(density.sample(torch.Size([2000])))
    return density, ContrastiveEstimator(Energy(lambda x: density.log_prob(x).float()), noise)


@pytest.mark.parametrize("sampler", ["imh", "mixed"])
def test_chains_of_the_eight_gaussians_pass_a_two_sample_test(eight, sampler):
    """One draw of each of 500 chains against 500 exact draws; level 0.001, and the noise's own draws must fail it."""
    density, estimator = eight
    samples = sample_energy(estimator, 1, sampler=sampler, chains=500, warmup=50)
    exact = density.sample(torch.Size([500]))
    assert mmd_p_value(samples.z[:, -1], exact) > 0.001
    assert mmd_p_value(estimator.sample_noise(500), exact) < 0.002


def test_x_is_spread_over_all_chains_in_original_units():
    scaling = Scaling(torch.tensor([10.0, -3.0]), torch.tensor([2.0, 0.5]))
    estimator = estimator_of(gaussian(0.5, 0.8).log_prob, scaling=scaling)
    samples = sample_energy(estimator, 12_000, sampler="imh", chains=60, warmup=50)
    assert samples.z.shape == (60, 200, 2)
    assert samples.x.dtype == torch.float64
    torch.testing.assert_close(samples.x[:60], scaling.inverse(samples.z[:, 0]))
    error = (samples.x.mean(0) - torch.tensor([11.0, -2.75])) / (0.8 * scaling.scale)
    assert error.abs().max() < normal_threshold(FALSE_ALARM, 2) / math.sqrt(samples.effective_sample_size)
    few = sample_energy(estimator, 7, chains=3, warmup=5)
    assert few.x.shape == (7, 2)
    assert few.z.shape == (3, 200, 2)
    assert estimator.sample(5, chains=2, warmup=5).shape == (5, 2)


def test_log_weight_is_energy_minus_noise():
    estimator = estimator_of(gaussian(0.5, 0.8).log_prob)
    samples = sample_energy(estimator, 100, chains=4, warmup=5)
    z = samples.z.flatten(0, 1)
    expected = estimator.energy(z) - estimator.log_normalizer - estimator.noise.log_prob(z)
    torch.testing.assert_close(samples.log_weight.flatten(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("sampler", ["resampling", *sorted(set(KERNELS) - {"latent-hmc"})])
def test_every_sampler_finds_the_moments(sampler):
    """p = N(0.5, 0.8^2) in two dimensions; false-alarm rate 1e-6 a sampler, with the sample's own effective size."""
    samples = sample_energy(estimator_of(gaussian(0.5, 0.8).log_prob), 10_000, sampler=sampler)
    bound = normal_threshold(FALSE_ALARM, 4) * 0.8 / math.sqrt(samples.effective_sample_size)
    assert samples.effective_sample_size > 1000
    assert (samples.x.mean(0) - 0.5).abs().max() < bound
    assert (samples.x.std(0) - 0.8).abs().max() < bound
    assert not samples.warnings


@pytest.mark.parametrize("sampler", ["auto", "latent-hmc"])
def test_a_flow_is_sampled_through_its_latent_space(sampler):
    glow = make_noise("glow", event_shape=(2,), depth=1, width=8)
    glow.initialize(1.5 * torch.randn(500, 2))
    with torch.no_grad():
        for parameter in glow.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    samples = sample_energy(estimator_of(gaussian(0.5, 0.8).log_prob, glow), 5000, sampler=sampler)
    assert "latent" in samples.acceptance
    bound = normal_threshold(FALSE_ALARM, 2) * 0.8 / math.sqrt(samples.effective_sample_size)
    assert (samples.x.mean(0) - 0.5).abs().max() < bound


def test_discrete_energies_take_independence_metropolis():
    """The squared magnetisation of four coupled spins against enumeration."""
    energy = make_energy("ising", event_shape=(2, 2))
    nn.init.constant_(energy.above_diagonal, 0.2)
    noise = make_noise("bernoulli-spins", event_shape=(2, 2), probability=0.6)
    samples = sample_energy(ContrastiveEstimator(energy, noise), 10_000)
    states = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=4))).reshape(16, 2, 2)
    with torch.no_grad():
        p = torch.softmax(energy(states), 0)
    exact = float((p * states.sum((1, 2)).square()).sum())
    seen = samples.z.sum((2, 3)).square().double()
    assert samples.sampler == "imh"
    error = normal_threshold(FALSE_ALARM) * float(seen.std()) / math.sqrt(effective_size(seen))
    assert abs(float(seen.mean()) - exact) < error
    with pytest.raises(ContrastiveError, match="'mala' has no gradient; take 'imh'"):
        sample_energy(ContrastiveEstimator(energy, noise), 10, sampler="mala")


def two_classes():
    def log_prob(x):
        return torch.stack([gaussian(-1, 0.7).log_prob(x), gaussian(1, 0.7).log_prob(x)], 1)

    return ContrastiveEstimator(Energy(log_prob, num_classes=2), gaussian(0, 1.5))


def test_one_class_or_the_mixture_of_all():
    estimator = two_classes()
    only = sample_energy(estimator, 1000, label=1)
    assert only.x.mean() == pytest.approx(1.0, abs=0.1)
    of_second = (sample_energy(estimator, 1000).z[..., 0] > 0).double()
    error = 0.5 * normal_threshold(FALSE_ALARM) / math.sqrt(effective_size(of_second))
    assert error < 0.25
    assert of_second.mean() == pytest.approx(0.5, abs=error)
    with pytest.raises(ContrastiveError, match="has classes 0 to 1"):
        sample_energy(estimator, 10, label=2)


def test_samples_stay_where_the_noise_lives():
    """An energy that rises without bound outside the box that contrast has seen."""
    noise = make_noise("uniform", event_shape=(2,), low=-1.0, high=1.0)
    samples = sample_energy(ContrastiveEstimator(Energy(lambda x: x.square().sum(1)), noise), 1000)
    assert samples.z.abs().max() <= 1
    assert not samples.warnings


# What the samples say of themselves --------------------------------------------------------------------------------


def test_effective_size_of_an_autoregression():
    """tau = (1 + rho) / (1 - rho)."""
    rho, x = 0.8, [torch.randn(50)]
    for _ in range(4000):
        x.append(rho * x[-1] + math.sqrt(1 - rho**2) * torch.randn(50))
    chains = torch.stack(x[1:], 1)
    assert chains.numel() / effective_size(chains) == pytest.approx((1 + rho) / (1 - rho), rel=0.05)
    assert largest_r_hat(chains[..., None]) < 1.01
    assert largest_r_hat(chains[:1, :, None]) < 1.05


def two_modes(scale):
    components = Independent(Normal(torch.tensor([[-3.0, -3.0], [3.0, 3.0]]), scale), 1)
    return MixtureSameFamily(Categorical(torch.ones(2)), components)


def test_chains_that_sit_in_their_modes_are_told():
    estimator = estimator_of(two_modes(0.7).log_prob, two_modes(0.9))
    stuck = sample_energy(estimator, 1000, sampler="hmc")
    assert "the chains disagree" in stuck.warnings[0]
    assert "independent" in stuck.warnings[1]
    assert not sample_energy(estimator, 1000).warnings


def test_the_longest_rejection_is_counted():
    """A start that no proposal beats: w is e^20 there and at most 1 elsewhere."""

    def spike(x):
        return gaussian(0, 1).log_prob(x) + 20.0 * (x[:, 0] > 4.0)

    samples = sample_energy(estimator_of(spike, StudentT_noise()), 100, sampler="imh", chains=5, warmup=0)
    assert samples.longest_rejection == 200
    assert samples.acceptance["independence"] < 0.01


def StudentT_noise():  # heavy tails, so that the spike is found among the starts
    return Independent(StudentT(5.0, torch.zeros(2), torch.ones(2)), 1)


def shifted(delta):
    a = 2 * normal_cdf(-delta / math.sqrt(2))
    return gaussian(delta, 1, 1), a, 2 * normal_cdf(delta / 2) - 1


def stretched(sigma):
    """p = N(0, sigma^2): a = (4 / pi) arctan(1 / sigma), the densities cross at +-x."""
    x = math.sqrt(2 * math.log(sigma) / (1 - sigma**-2))
    return gaussian(0, sigma, 1), 4 / math.pi * math.atan(1 / sigma), 2 * (normal_cdf(x) - normal_cdf(x / sigma))


def normal_cdf(x):
    return 0.5 * math.erfc(-x / math.sqrt(2))


@pytest.mark.parametrize(("p", "a", "distance"), [shifted(0.5), shifted(2.0), stretched(1.5), stretched(4.0)])
def test_the_certificate_brackets_the_total_variation(p, a, distance):
    """q = N(0, 1); a against its closed form at false-alarm rate 1e-6, from every sampler's draws alike."""
    estimator = ContrastiveEstimator(Energy(p.log_prob), gaussian(0, 1, 1))
    assert (1 - a) / 2 <= distance <= 1 - a
    for sampler in ("hmc", "mixed"):
        found = sample_energy(estimator, 5000, sampler=sampler).overlap
        assert 0 < found.standard_error < 0.04
        assert abs(found.acceptance - a) < normal_threshold(FALSE_ALARM) * found.standard_error
        low, high = found.total_variation
        slack = normal_threshold(FALSE_ALARM) * found.standard_error
        assert low - slack <= distance <= high + slack


def test_the_overlap_is_the_mean_over_all_pairs_and_its_error_is_calibrated():
    z_scores = []
    for _ in range(300):
        model, noise = 0.7 + torch.randn(1, 200), torch.randn(300)  # log w = z for p = N(1, 1), up to a constant
        found = overlap(model - 0.7 + 1.0, noise, size=200)
        z_scores.append((found.acceptance - 2 * normal_cdf(-1 / math.sqrt(2))) / found.standard_error)
    pairs = (noise[None] - (model - 0.7 + 1.0).flatten()[:, None]).clamp(max=0).exp()
    assert found.acceptance == pytest.approx(float(pairs.mean()), abs=1e-6)
    # The standard deviation of 300 standard normals is within 1 +- 0.2 but for 1e-6.
    assert torch.tensor(z_scores).std() == pytest.approx(1.0, abs=0.2)


def test_weights_of_zero_and_infinity_count_as_no_overlap():
    found = overlap(torch.tensor([[0.0, torch.inf]]), torch.tensor([0.0, -torch.inf]), size=2)
    assert found.acceptance == pytest.approx(0.25)


# Bad requests, and the command line --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"n": 0}, "n of at least 1, got 0"),
        ({"chains": 0}, "chains of at least 1"),
        ({"warmup": -1}, "warmup of at least 0"),
        ({"thin": 0}, "thin of at least 1"),
        ({"sampler": "hcm"}, "unknown sampler 'hcm'; did you mean 'hmc'"),
        ({"sampler": "latent-hmc"}, r"has no latent space .*\(glow"),
        ({"label": 0}, "has no classes"),
    ],
)
def test_bad_requests_are_refused(settings, sentence):
    with pytest.raises(ContrastiveError, match=sentence):
        sample_energy(estimator_of(gaussian(0, 1).log_prob), **{"n": 10, **settings})


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("sampler", ["mixed", "resampling"])
def test_an_energy_that_is_finite_nowhere_is_refused(value, sampler):
    estimator = estimator_of(lambda x: torch.full((len(x),), value))
    with pytest.raises(ContrastiveError, match="no draw of the noise has a finite density"):
        sample_energy(estimator, 10, sampler=sampler)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A small finished run on a table."""
    return table_run(tmp_path_factory.mktemp("runs"), "student-t") / "run"


def test_the_command_says_how_far_to_trust_its_draws(finished, tmp_path, capsys):
    out = tmp_path / "samples.csv"
    assert main(["sample", str(finished), "-n", "500", "--out", str(out)]) == 0
    told = capsys.readouterr()
    assert told.out == f"500 draws from the energy: {out}\n"
    lines = told.err.strip().splitlines()
    # A busy machine is slow enough for lines of progress.
    assert [line.split(":")[0] for line in lines if not line.startswith("sampling ")] == [
        "mixed",
        "accepted",
        "total variation between noise and energy",
    ]
    rows = np.loadtxt(out, delimiter=",", skiprows=1)
    assert out.read_text().startswith("height,weight\n")
    assert rows[:, 1].mean() == pytest.approx(50, abs=5)


def test_the_command_prints_its_diagnostics_as_json(finished, tmp_path, capsys):
    options = ["--sampler", "mala", "--chains", "8", "--warmup", "30", "--thin", "2", "--json"]
    assert main(["sample", str(finished), "-n", "40", "--out", str(tmp_path / "a.npy"), *options]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["sampler"], told["chains"], told["draws_per_chain"], told["n"]) == ("mala", 8, 200, 40)
    assert set(told["acceptance"]) == set(told["step_sizes"]) == {"local"}
    assert main(["sample", str(finished), "--sampler", "resampling", "--out", str(tmp_path / "b.npy"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["r_hat"] is None


def test_the_command_warns_in_one_line(finished, tmp_path, capsys):
    options = ["--sampler", "mala", "--warmup", "0", "--seed", "3"]
    main(["sample", str(finished), "--out", str(tmp_path / "a.npy"), *options])
    warnings = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert len(warnings) == 1
    assert "the chains disagree" in warnings[0]


def test_samplers_are_for_the_energy(finished, tmp_path, capsys):
    assert main(["sample", str(finished), "--from", "noise", "--thin", "2", "--out", str(tmp_path / "a.npy")]) == 2
    assert "leave out --thin" in capsys.readouterr().err
