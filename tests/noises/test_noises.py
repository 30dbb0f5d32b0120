"""Built-in noises against quadrature, scipy and torch."""

import pytest
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import (
    Categorical,
    Gamma,
    Independent,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    TransformedDistribution,
)
from torch.distributions.transforms import AffineTransform

from contrastive import ContrastiveError, available_noises, make_noise
from contrastive.noises import DistributionNoise
from contrastive.protocols import AdaptiveNoise, FittableNoise, NoiseModel
from contrastive.registry import noises

#: Built-in densities that fit themselves; spins are tested with their energy, a distribution by its path below.
BUILTIN = [name for name in available_noises() if noises.source(name) == noises.source("gaussian")]
BUILTIN = [name for name in BUILTIN if name not in ("bernoulli-spins", "distribution")]
#: Options that make a name quick to integrate.
SMALL = {
    "kde": {"max_rows": 50},
    "stack": {"parts": [{"name": "student-t"}, {"name": "kde", "max_rows": 50}], "weights": [1.0, 2.0]},
}


def skewed(n, d, seed=0):
    generator = torch.Generator().manual_seed(seed)
    g = torch.randn(n, d, generator=generator)
    return g @ torch.randn(d, d, generator=generator) + 0.3 * g.square() + 2


@pytest.mark.parametrize("name", BUILTIN)
@pytest.mark.parametrize("d", [1, 2])
@torch.no_grad()
def test_density_integrates_to_one(name, d):
    noise = make_noise(name, event_shape=(d,), **SMALL.get(name, {})).double()
    x = skewed(2000, d)
    noise.fit(x)
    centre, spread = x.mean(0).double(), x.std(0).double()
    # Student's t has a heavy tail: a change of variables x = sinh(u) covers it.
    u = torch.linspace(-12 if d == 1 else -9, 12 if d == 1 else 9, 40_001 if d == 1 else 1501, dtype=torch.float64)
    points = torch.cartesian_prod(*[u] * d).reshape(-1, d)
    log_q = noise.log_prob(centre + spread * points.sinh() / 3)
    weight = (points.cosh() * spread / 3).prod(-1) * (u[1] - u[0]) ** d
    tolerance = 2e-2 if name == "uniform" else 1e-5  # a box's edges fall between nodes
    assert float((log_q.exp() * weight).sum()) == pytest.approx(1, abs=tolerance)


@pytest.mark.parametrize("name", BUILTIN)
@torch.no_grad()
def test_draws_follow_the_density(name):
    """Kolmogorov-Smirnov of the 1-D draws against the integrated density, false-alarm rate 1e-4 each."""
    noise = make_noise(name, event_shape=(1,), **SMALL.get(name, {})).double()
    noise.fit(skewed(2000, 1))
    torch.manual_seed(4)
    draws = noise.sample((5000,))[:, 0]
    u = torch.linspace(-12, 12, 100_001, dtype=torch.float64)
    x = draws.mean() + draws.std() * u.sinh() / 3
    mass = noise.log_prob(x[:, None]).exp() * u.cosh()
    cdf = mass.cumsum(0) / mass.sum()
    uniform = cdf[torch.searchsorted(x, draws).clamp(max=len(x) - 1)]
    assert scipy.stats.kstest(uniform.numpy(), "uniform").pvalue > 1e-4


@pytest.mark.parametrize("name", BUILTIN)
@given(event_shape=st.sampled_from([(1,), (3,), (2, 2)]), batch=st.sampled_from([(), (1,), (5,), (2, 3)]))
def test_shapes_and_protocol(name, event_shape, batch):
    noise = make_noise(name, event_shape=event_shape, **SMALL.get(name, {}))
    assert isinstance(noise, NoiseModel)
    assert isinstance(noise, FittableNoise)
    x = noise.sample(torch.Size(batch))
    assert x.shape == (*batch, *event_shape)
    assert not x.requires_grad
    assert noise.log_prob(x).shape == batch
    if isinstance(noise, AdaptiveNoise):
        x, log_q = noise.rsample_and_log_prob(torch.Size(batch))
        assert x.shape == (*batch, *event_shape)
        torch.testing.assert_close(log_q, noise.log_prob(x))


@pytest.mark.parametrize("name", BUILTIN)
def test_a_fitted_noise_is_remembered_by_its_state(name):
    noise, twin = (make_noise(name, event_shape=(2,), **SMALL.get(name, {})) for _ in range(2))
    assert not noise.is_fitted
    x = skewed(500, 2)
    noise.fit(x)
    twin.load_state_dict(noise.state_dict())
    assert twin.is_fitted
    torch.testing.assert_close(twin.log_prob(x), noise.log_prob(x))


@pytest.mark.parametrize("name", ["gaussian", "diag-gaussian", "student-t"])
def test_fit_is_the_maximum_of_the_likelihood(name):
    """The gradient of the mean log-likelihood vanishes at the fit."""
    noise = make_noise(name, event_shape=(3,)).double()
    x = skewed(1000, 3).double()
    noise.fit(x)
    tensors = dict(noise.named_parameters()) or {"loc": noise.loc, "scale_tril": noise.scale_tril}
    for tensor in tensors.values():
        tensor.requires_grad_()
    gradients = torch.autograd.grad(noise.log_prob(x).mean(), list(tensors.values()))
    for name, gradient in zip(tensors, gradients):
        below = gradient.tril() if gradient.ndim == 2 else gradient
        assert below.abs().max() < 1e-6, name


def test_student_t_is_scipys():
    noise = make_noise("student-t", event_shape=(3,), df=4.0).double()
    noise.fit(skewed(400, 3))
    x = 10 * torch.randn(50, 3, dtype=torch.float64)
    shape = (noise.scale_tril @ noise.scale_tril.mT).numpy()
    peer = scipy.stats.multivariate_t(noise.loc.numpy(), shape, df=4.0).logpdf(x.numpy())
    torch.testing.assert_close(noise.log_prob(x), torch.from_numpy(peer))


def test_gaussian_takes_given_parameters():
    covariance = torch.tensor([[2.0, 0.5], [0.5, 1.0]])
    noise = make_noise("gaussian", event_shape=(2,), loc=[1.0, -1.0], covariance=covariance)
    assert noise.is_fitted
    peer = MultivariateNormal(torch.tensor([1.0, -1.0]), covariance)
    x = torch.randn(10, 2)
    torch.testing.assert_close(noise.log_prob(x), peer.log_prob(x))


def test_uniform_is_minus_infinity_outside():
    noise = make_noise("uniform", event_shape=(2,), low=0.0, high=[1.0, 2.0])
    inside, outside = noise.log_prob(torch.tensor([[0.5, 1.9], [0.5, 2.1]]))
    assert float(inside) == pytest.approx(-torch.tensor(2.0).log())
    assert float(outside) == -float("inf")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("uniform", {"low": 1.0, "high": 0.0}, "low < high"),
        ("uniform", {"low": 1.0}, "both low and high"),
        ("student-t", {"df": -1}, "df must be positive"),
        ("gaussian", {"covariance": [[1.0, 2.0], [2.0, 1.0]]}, "not positive definite"),
        ("gaussian", {"loc": [1.0, 2.0, 3.0]}, "does not fit"),
        ("gaussian-mixture", {"components": 0}, "at least 1"),
    ],
)
def test_bad_options_are_refused_in_a_sentence(name, options, message):
    with pytest.raises(ContrastiveError, match=message):
        make_noise(name, event_shape=(2,), **options)


def test_dependent_columns_are_refused_by_the_gaussian():
    x = torch.randn(100, 1).repeat(1, 2)
    with pytest.raises(ContrastiveError, match="diag-gaussian"):
        make_noise("gaussian", event_shape=(2,)).fit(x)


@pytest.mark.parametrize(
    "distribution",
    [
        MultivariateNormal(torch.zeros(2), torch.eye(2)),
        Independent(Gamma(torch.ones(2), torch.ones(2)), 1),
        MixtureSameFamily(Categorical(torch.ones(3)), Independent(Normal(torch.randn(3, 2), 1.0), 1)),
        TransformedDistribution(Independent(Normal(torch.zeros(2), 1.0), 1), [AffineTransform(1.0, torch.ones(2))]),
    ],
    ids=lambda d: type(d).__name__,
)
def test_a_distribution_moves_with_its_module(distribution):
    """To the meta device: the only other device that every machine has."""
    noise = DistributionNoise(distribution)
    assert noise.double().sample((3,)).dtype == torch.float64
    assert noise.log_prob(torch.ones(3, 2, dtype=torch.float64)).dtype == torch.float64
    assert distribution.sample((3,)).dtype == torch.float32, "the caller's distribution was changed"
    assert noise.to("meta").log_prob(torch.ones(3, 2, device="meta")).device.type == "meta"


# A distribution by its import path ------------------------------------------------------------------------------------


@pytest.mark.parametrize("event_shape", [(1,), (3,), (2, 2)])
def test_a_distribution_by_path_is_that_distribution(event_shape):
    noise = make_noise("distribution", event_shape=event_shape, path="torch.distributions.Laplace", loc=1, scale=2.0)
    x = torch.randn(5, *event_shape)
    expected = torch.distributions.Laplace(1.0, 2.0).log_prob(x).flatten(1).sum(1)
    torch.testing.assert_close(noise.log_prob(x), expected)
    assert noise.sample((4,)).shape == (4, *event_shape)


def test_a_distribution_by_path_keeps_its_own_event():
    covariance = [[2.0, 0.5], [0.5, 1.0]]
    path = "torch.distributions:MultivariateNormal"
    noise = make_noise("distribution", event_shape=(2,), path=path, loc=[0.0, 1.0], covariance_matrix=covariance)
    expected = MultivariateNormal(torch.tensor([0.0, 1.0]), torch.tensor(covariance))
    x = torch.randn(5, 2)
    torch.testing.assert_close(noise.log_prob(x), expected.log_prob(x))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": "torch.distributions.Laplase"}, "cannot import torch.distributions.Laplase"),
        ({"path": "torch.distributions.Laplase"}, r"did you mean .*'Laplace'.*--allow-import"),
        ({"path": "no_such_module.Laplace"}, r"cannot import no_such_module.Laplace: .* takes --allow-import"),
        ({"path": "no_such_module.Laplace", "allow_import": True}, "No module named"),
        ({"path": "Laplace"}, "cannot import Laplace"),
        ({"path": "Laplace", "allow_import": True}, "cannot import Laplace"),
        ({"path": 3}, "must be one such as torch.distributions.Laplace, got 3"),
        ({"path": "os.system", "command": "true"}, "cannot import os.system"),
        ({"path": "os.system", "command": "true", "allow_import": True}, "not a class of distributions"),
        ({"path": "torch.distributions.Laplace", "loc": 0}, "cannot be made"),
        ({"path": "torch.distributions.Laplace", "loc": 0, "scale": -1.0}, "cannot be made"),
        ({"path": "torch.distributions.Laplace", "loc": [0, 0, 0], "scale": 1}, r"shape \(3,\), the data's are \(2,\)"),
        ({"path": "torch.distributions.Dirichlet", "concentration": [1, 1, 1]}, r"\(3,\), the data's are \(2,\)"),
        ({}, "path"),
    ],
)
def test_a_wrong_path_is_refused_in_a_sentence(options, message):
    with pytest.raises(ContrastiveError, match=message) as refusal:
        make_noise("distribution", event_shape=(2,), **options)
    assert len(str(refusal.value).splitlines()) == 1
