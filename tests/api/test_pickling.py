"""Estimators through pickle, copy, joblib and torch.save: of every noise, energy and objective that is registered."""

import copy
import io
import pickle

import pytest
import torch
from helpers.registered import LARGER, SHAPES, options_of

from contrastive import (
    ContrastiveError,
    ContrastiveEstimator,
    available_energies,
    available_noises,
    fit,
    make_energy,
    make_noise,
)
from contrastive.objectives import OBJECTIVES, Bregman, make_objective
from contrastive.protocols import FittableNoise, InitializableNoise, trainable_parameters
from contrastive.registry import energies, noises

ROWS = 40


def through_torch(estimator):
    file = io.BytesIO()
    torch.save(estimator, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


def through_joblib(estimator):
    joblib = pytest.importorskip("joblib")
    file = io.BytesIO()
    joblib.dump(estimator, file)
    file.seek(0)
    return joblib.load(file)


TRIPS = {
    "pickle": lambda estimator: pickle.loads(pickle.dumps(estimator)),
    "deepcopy": copy.deepcopy,
    "joblib": through_joblib,
    "torch": through_torch,
}
trips = pytest.mark.parametrize("trip", TRIPS.values(), ids=TRIPS)


def shapes_of(registry, name):
    """The first that `name` takes; two where vectors and images are two classes."""
    found = {}
    for shape in LARGER.get(name, [SHAPES[0], SHAPES[-1]]):
        try:
            found.setdefault(type(registry.make(name, event_shape=shape, **options_of(name))), shape)
        except ContrastiveError:
            continue
    assert found, f"{name} can be made neither of vectors nor of images"
    return found.values()


def of_every(registry, names):
    cases = {
        f"{name}-{'x'.join(map(str, shape))}": (name, shape) for name in names for shape in shapes_of(registry, name)
    }
    return pytest.mark.parametrize(("name", "shape"), cases.values(), ids=cases)


def rows_of(shape, name=""):
    """Data; of values -1 and 1 for models of those."""
    rows = torch.randn(ROWS, *shape)
    return rows.sign() if name in ("bernoulli-spins", "ising") else rows


def show(estimator, z):
    """Let the noise see data."""
    if isinstance(estimator.noise, FittableNoise):
        estimator.noise.fit(z)
    if isinstance(estimator.noise, InitializableNoise):
        estimator.noise.initialize(z)
    estimator.update_base_noise()
    return estimator


def train(estimator, z):
    """One step of everything that learns."""
    torch.manual_seed(1)
    loss = estimator.energy_loss(z).loss
    if trainable_parameters(estimator.noise):
        loss = loss - estimator.noise.log_prob(z).mean()
    optimizer = torch.optim.SGD([p for p in estimator.parameters() if p.requires_grad], 1e-3)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def answers(estimator, x):
    torch.manual_seed(2)
    return {
        "log_prob": estimator.log_prob(x),
        "noise_log_prob": estimator.noise_log_prob(x),
        "sample_noise": estimator.sample_noise(5),
    }


def assert_same(estimator, other, x):
    assert type(other) is type(estimator)
    torch.testing.assert_close(answers(other, x), answers(estimator, x), rtol=0, atol=0, equal_nan=True)
    torch.testing.assert_close(other.state_dict(), estimator.state_dict(), rtol=0, atol=0, equal_nan=True)


def assert_survives_every_trip(estimator, x):
    """Each gives the same answers; after the last it trains on, the slow part."""
    *others, last = [trip(estimator) for trip in TRIPS.values()]
    for other in others:
        assert_same(estimator, other, x)
    assert_a_twin(estimator, last, x)


def assert_a_twin(estimator, other, x):
    """`other` gives the same answers, now and after training on, and shares nothing with `estimator`."""
    assert_same(estimator, other, x)
    before = answers(estimator, x)
    train(other, x)
    torch.testing.assert_close(answers(estimator, x), before, rtol=0, atol=0)
    train(estimator, x)
    assert_same(estimator, other, x)


@of_every(noises, available_noises())
def test_a_noise_survives_before_and_after_it_has_seen_data(name, shape):
    x = rows_of(shape, name)
    noise = make_noise(name, event_shape=shape, **options_of(name))
    estimator = ContrastiveEstimator(make_energy("mlp", event_shape=shape, widths=(4,)), noise)
    unfitted = pickle.loads(pickle.dumps(estimator))
    for each in (estimator, unfitted):
        torch.manual_seed(0)
        show(each, x)
    assert_same(estimator, unfitted, x)
    assert_survives_every_trip(estimator, x)


@of_every(energies, available_energies())
def test_an_energy_survives(name, shape):
    x = rows_of(shape, name)
    energy = make_energy(name, event_shape=shape, **options_of(name))
    noise = make_noise("bernoulli-spins" if name == "ising" else "diag-gaussian", event_shape=shape)
    assert_survives_every_trip(show(ContrastiveEstimator(energy, noise), x).eval(), x)  # without dropout


@trips
@pytest.mark.parametrize("normalization", ["weight", "spectral"])
def test_normalised_weights_survive_twice(normalization, trip):
    """And no random number is drawn for it."""
    energy = make_energy("conv", event_shape=(1, 4, 4), widths=(4,), normalization=normalization)
    estimator = show(
        ContrastiveEstimator(energy, make_noise("diag-gaussian", event_shape=(1, 4, 4))), rows_of((1, 4, 4))
    )
    state = torch.get_rng_state()
    other = trip(trip(estimator.eval()))
    assert torch.equal(torch.get_rng_state(), state)
    assert_a_twin(estimator, other, rows_of((1, 4, 4)))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_objective_survives(name):
    energy = make_energy("bridges", event_shape=(2,), widths=(4,))
    estimator = ContrastiveEstimator(energy, make_noise("gaussian", event_shape=(2,)), objective=make_objective(name))
    x = rows_of((2,))
    assert_survives_every_trip(show(estimator, x), x)


def half_square(rho):
    return rho.square() / 2


@trips
def test_an_objective_of_a_convex_function_survives(trip):
    r = torch.randn(5)
    objective = Bregman.of(half_square)
    torch.testing.assert_close(trip(objective)(r, r, 2.0), objective(r, r, 2.0), rtol=0, atol=0)


@pytest.fixture(scope="module")
def fitted():
    """With a scaling, classes, a defensive component, a tilted energy and an adaptive noise."""
    x = 3 + 2 * torch.randn(100, 2)
    y = (x[:, 0] > 3).long()
    return fit(
        x,
        y,
        energy="tilted",
        energy_options={"widths": (4,)},
        noise="glow",
        noise_options={"depth": 1, "width": 4},
        method="fce",
        defensive_share=0.2,
        class_prior="0.3, 0.7",
        steps=2,
        log_partition_draws=0,
        quiet=True,
    )


@trips
def test_a_fitted_estimator_survives_with_its_summary(fitted, trip):
    x = 3 + 2 * torch.randn(10, 2)
    other = trip(fitted)
    assert_same(fitted, other, x)
    assert other.summary == fitted.summary
    assert other.defensive_share == fitted.defensive_share == 0.2
    torch.testing.assert_close(other.predict_proba(x), fitted.predict_proba(x), rtol=0, atol=0)


@trips
def test_an_energy_that_follows_the_noise_follows_its_own_after_the_trip(trip):
    energy = make_energy("tilted", event_shape=(2,), follow=True, widths=(4,))
    estimator = show(ContrastiveEstimator(energy, make_noise("gaussian", event_shape=(2,))), rows_of((2,)))
    other = trip(estimator)
    assert other.energy.follows(other.noise)
    assert not other.energy.follows(estimator.noise)


def test_a_shallow_copy_shares_the_parameters(fitted):
    other = copy.copy(fitted)
    assert_same(fitted, other, torch.randn(10, 2))
    assert all(mine is theirs for mine, theirs in zip(fitted.parameters(), other.parameters(), strict=True))
