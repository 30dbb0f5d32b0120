"""What a report says of its noise, against quadrature."""

import json
import math

import pytest
import torch
from torch.distributions import Independent, Normal

from contrastive import ContrastiveEstimator, fit
from contrastive.metrics import evaluate, noise_quality, noise_spread, noise_warning


@pytest.mark.parametrize("nu", [1.0, 4.0])
def test_overlap_share_and_divergence_are_those_of_quadrature(nu):
    """p = N(0, 1), q = N(1.5, 1); 400,000 points of each put every figure within 0.005 by ten standard errors."""
    torch.manual_seed(0)
    p, q = Normal(torch.zeros(1).double(), 1.0), Normal(torch.full((1,), 1.5).double(), 1.0)
    estimator = ContrastiveEstimator(lambda x: p.log_prob(x)[:, 0], Independent(q, 1), noise_ratio=nu, noise_per_data=1)
    with torch.no_grad():
        found = noise_quality(estimator.contrast(p.sample((400_000,))))
    x = torch.linspace(-10, 12, 40_001).double()
    a, b = p.log_prob(x).exp(), q.log_prob(x).exp()
    w, middle = nu * b / (a + nu * b), (a + b) / 2
    divergence = torch.trapezoid(a * (a / middle).log() + b * (b / middle).log(), x)
    expected = {
        "overlap": torch.trapezoid(a * b / (a + b), x),
        "relative_ess": torch.trapezoid(a * w, x).square() / torch.trapezoid(a * w.square(), x),
        "twice_jsd": divergence,
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(float(value), abs=0.005), name


def test_equal_densities():
    noise = Independent(Normal(torch.zeros(1).double(), 1.0), 1)
    torch.manual_seed(0)
    found = noise_quality(ContrastiveEstimator(noise.log_prob, noise).contrast(torch.randn(50, 1).double()))
    assert found["overlap"] == pytest.approx(0.5)
    assert found["relative_ess"] == pytest.approx(1.0)
    assert found["twice_jsd"] == pytest.approx(0.0, abs=1e-6)
    assert math.log(4) > found["twice_jsd"]


def test_a_noise_far_off_is_warned_of(tmp_path):
    assert noise_warning({"accuracy": 0.6, "test_log_prob_noise": -3.0}) == ""
    far = {"loc": 30.0, "covariance": [[1.0, 0.0], [0.0, 1.0]]}
    fit("8gaussians", noise_options=far, steps=60, batch_size=200, out=str(tmp_path / "run"), quiet=True)
    assert "hardly overlap" in (tmp_path / "run" / "summary.json").read_text()


def test_a_learned_noise_is_compared_with_a_gaussian(tmp_path):
    """On data that are one, in their own units: mean log p is minus the entropy, within 5 standard errors (6e-7)."""
    truth = Independent(Normal(torch.tensor([5.0, -1.0]), torch.tensor([3.0, 0.1])), 1)
    settings = {"noise": "glow", "noise_options": {"depth": 1, "width": 8}, "standardize": True, "quiet": True}
    fit(truth, **settings, pretrain_steps=2, steps=2, out=str(tmp_path / "run"))
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["test_log_prob_gaussian"] == pytest.approx(-float(truth.entropy()), abs=5 * (1 / 50_000) ** 0.5)
    for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines():
        assert json.loads(line)["test_log_prob_gaussian"] == pytest.approx(-float(truth.entropy()), abs=0.05)


def test_a_noise_that_is_but_a_gaussian_is_warned_of():
    metrics = {"accuracy": 0.9, "test_log_prob_noise": -20.0, "test_log_prob_gaussian": -20.05}
    assert "0.05 nats better than a Gaussian" in noise_warning(metrics)
    assert noise_warning(metrics | {"accuracy": 0.6}) == ""
    assert noise_warning(metrics | {"test_log_prob_noise": -15.0}) == ""


def test_an_energy_below_chance_level_is_warned_of():
    """f = 0 against a Gaussian of 20 dimensions: r = -log q is near 28 nats, everywhere."""
    metrics = {"accuracy": 0.4, "test_log_prob_noise": -3.0, "twice_jsd": -5.0}
    assert "5.0 nats above chance level" in noise_warning(metrics)
    assert noise_warning(metrics | {"twice_jsd": -0.5}) == ""
    noise = Independent(Normal(torch.zeros(20).double(), 1.0), 1)
    torch.manual_seed(0)
    far = noise_quality(
        ContrastiveEstimator(lambda x: torch.zeros(len(x)).double(), noise).contrast(noise.sample((50,)))
    )
    assert "above chance level" in noise_warning(metrics | far)
    # A few images misjudged by hundreds of nats, the others classified rightly: seen on a folder of PNGs.
    assert "8.0 nats above" in noise_warning(metrics | {"accuracy": 0.975, "twice_jsd": -8.0})


@pytest.mark.parametrize("scale", [0.3, 1.0, 2.0])
def test_the_spread_of_a_gaussian_is_its_scale(scale):
    """Medians over pairs of 100 points of 20 dimensions: 12 % are five deviations, by 200 repetitions."""
    q = Independent(Normal(torch.zeros(20).double(), scale), 1)
    x = torch.randn(100, 20, generator=torch.Generator().manual_seed(0)).double()
    estimator = ContrastiveEstimator(lambda x: torch.zeros(len(x)).double(), q)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    assert noise_spread(estimator, x)["noise_spread"] == pytest.approx(scale, rel=0.12)
    assert torch.equal(torch.get_rng_state(), before)
    assert noise_spread(estimator, x[:19]) == {}
    assert noise_spread(estimator, torch.zeros(30, 20).double()) == {}


def test_a_noise_that_has_collapsed_is_warned_of():
    """Draws at one of two clumps, 20 apart: half of the pairs of data are 20 apart, none of the draws."""
    x = torch.randn(200, 2, generator=torch.Generator().manual_seed(0)).double()
    x[::2] += 20.0
    noise = Independent(Normal(torch.zeros(2).double(), 1.0), 1)
    metrics = evaluate(ContrastiveEstimator(noise.log_prob, noise), x)
    assert metrics["noise_spread"] < 0.3
    assert "dropped modes" in noise_warning(metrics)
    assert noise_warning(metrics | {"noise_spread": 0.6, "twice_jsd": 0.0, "accuracy": 0.6}) == ""
