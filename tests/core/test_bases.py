"""Base classes for models, and plain classes, which get the same defaults from the functions of the protocols."""

import ast
from pathlib import Path

import pytest
import torch
from helpers.registered import REQUIRED
from torch import nn
from torch.nn.functional import softplus

import contrastive
from contrastive import ContrastiveEstimator, Energy, Noise, Objective, available_energies, available_noises
from contrastive.errors import ContrastiveError
from contrastive.objectives import OBJECTIVES, Bregman, make_objective
from contrastive.objectives.protocol import allows_adaptive_noise, check_energy, learns_normalizer
from contrastive.protocols import (
    draw,
    feature_layers,
    is_discrete,
    num_classes,
    rounds_networks_only,
    sample_and_log_prob,
    trainable_parameters,
)
from contrastive.testing.statistics import random_cosines


class Logistic(Noise):
    def sample(self, sample_shape=torch.Size()):
        return torch.rand(*sample_shape, *self.event_shape).logit()

    def log_prob(self, value):
        return (value - 2 * softplus(value)).sum(-1)


class PlainLogistic:
    def __init__(self, event_shape):
        self.event_shape = torch.Size(event_shape)

    sample, log_prob = Logistic.sample, Logistic.log_prob


class Quadratic(Energy):
    def forward(self, x):
        return -0.5 * x.square().sum(-1)


class PlainQuadratic(nn.Module):
    def forward(self, x):
        return -0.5 * x.square().sum(-1)


class LogisticLoss(Objective):
    def __call__(self, r_data, r_noise, noise_ratio):
        return softplus(-r_data), noise_ratio * softplus(r_noise)


def plain_logistic_loss(r_data, r_noise, noise_ratio):
    return softplus(-r_data), noise_ratio * softplus(r_noise)


def test_noises_have_the_same_defaults():
    derived, plain = Logistic((2,)), PlainLogistic((2,))
    for asks in (is_discrete, rounds_networks_only, trainable_parameters):
        assert asks(derived) == asks(plain) == type(asks(plain))()
    drawn = []
    for noise in (derived, plain):
        torch.manual_seed(0)
        drawn.append(sample_and_log_prob(noise, 5))
    assert all(torch.equal(a, b) for a, b in zip(*drawn))
    assert torch.equal(drawn[0][1], derived.log_prob(drawn[0][0]))


def test_energies_have_the_same_defaults():
    for asks, default in (
        (num_classes, None),
        (is_discrete, False),
        (rounds_networks_only, False),
        (feature_layers, []),
    ):
        assert asks(Quadratic()) == asks(PlainQuadratic()) == default


def test_objectives_have_the_same_defaults():
    for objective in (LogisticLoss(), plain_logistic_loss):
        assert learns_normalizer(objective)
        assert allows_adaptive_noise(objective)
        check_energy(objective, PlainQuadratic())


def test_a_plain_model_is_used_as_it_is():
    noise, energy = PlainLogistic((2,)), PlainQuadratic()
    estimator = ContrastiveEstimator(energy, noise, objective=plain_logistic_loss)
    assert estimator.noise is noise
    assert estimator.energy is energy
    assert list(estimator.state_dict()) == ["log_normalizer", "scaling.shift", "scaling.scale"]
    derived = ContrastiveEstimator(Quadratic(), Logistic((2,)), objective=LogisticLoss())
    z = torch.randn(20, 2)
    losses = []
    for each in (estimator, derived):
        torch.manual_seed(0)
        losses.append(each.energy_loss(z).loss)
    assert torch.equal(*losses)


@pytest.mark.parametrize("base", [Noise, Energy, Objective])
def test_a_base_asks_for_what_it_cannot_derive(base):
    with pytest.raises(TypeError, match="abstract"):
        base((2,)) if base is Noise else base()


def test_models_that_can_be_named_derive_from_the_bases():
    for name in available_noises():
        shape = (1, 8, 8) if name == "pixelcnn" else (2,)
        assert isinstance(contrastive.make_noise(name, event_shape=shape, **REQUIRED.get(name, {})), Noise), name
    for name in available_energies():
        shape = (3, 32, 32) if name.startswith("conv") else (2,)
        assert isinstance(contrastive.make_energy(name, event_shape=shape), Energy), name
    assert all(isinstance(make_objective(name), Objective) for name in OBJECTIVES)
    assert not Bregman.__dataclass_fields__.keys() & {"learns_normalizer", "allows_adaptive_noise"}


class Scored(PlainLogistic):
    """With the method's name of version 0.1."""

    def draw(self, n):
        return torch.zeros(n, 2), torch.full((n,), 7.0)


def test_the_function_of_before_warns_and_samples():
    with pytest.warns(DeprecationWarning, match="use sample_and_log_prob"):
        x, log_q = draw(Logistic((2,)), 4)
    assert torch.equal(log_q, Logistic((2,)).log_prob(x))


def test_the_test_functions_of_before_are_the_random_cosines():
    with pytest.warns(DeprecationWarning, match="use random_cosines"):
        from contrastive.testing.statistics import features
    assert features is random_cosines


def test_a_noise_with_the_method_of_before_is_asked_by_it_and_warned_of():
    with pytest.warns(DeprecationWarning, match=r"use sample_and_log_prob"):
        assert float(sample_and_log_prob(Scored((2,)), 3)[1].sum()) == 21.0


def test_an_objective_with_the_method_of_before_is_asked_by_it_and_warned_of():
    class Balancing(LogisticLoss):
        balanced = 0

        def balance(self, energy, z, z_noise):
            self.balanced = len(z_noise)

    objective = Balancing()
    estimator = ContrastiveEstimator(Quadratic(), Logistic((2,)), objective=objective)
    with pytest.warns(DeprecationWarning, match="use solve_log_normalizers"):
        estimator.solve_log_normalizer(torch.randn(6, 2))
    assert objective.balanced == 6
    assert float(estimator.log_normalizer.detach()) == 0.0


def test_an_objective_may_refuse_an_energy():
    class Choosy(LogisticLoss):
        def check(self, energy):
            raise ContrastiveError("take another")

    with pytest.raises(ContrastiveError, match="take another"):
        ContrastiveEstimator(Quadratic(), Logistic((2,)), objective=Choosy())


# What is asked of a model -------------------------------------------------------------------------------------

#: Rooms whose code is handed models of strangers.
ROOMS = (
    "core",
    "energies",
    "noises",
    "objectives",
    "sampling",
    "normalizer",
    "inference",
    "metrics",
    "training",
    "testing",
)

#: Attributes that may be missing, by where they are asked for: facts of models in the two modules of protocols alone.
ASKED = {
    "protocols.py": {"is_discrete", "rounds_networks_only", "num_classes", "parameters"},
    "objectives/protocol.py": {"learns_normalizer", "allows_adaptive_noise"},
    "noises/distribution.py": {"is_discrete"},  # of a torch constraint
    "sampling/targets.py": {"base_constraint"},  # of a torch constraint
    "testing/parametrize.py": {"__name__"},  # of a function, to name a test
    "testing/core.py": {"conditional"},  # of a factory: what makes its conditional counterpart
}


def test_nothing_undeclared_is_asked_of_a_model():
    package = Path(contrastive.__file__).parent
    found: dict[str, set[str]] = {}
    for path in [package / "protocols.py", *(path for room in ROOMS for path in (package / room).rglob("*.py"))]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Name(id="getattr" | "hasattr"), args=[_, ast.Constant(value=name), *_]):
                    found.setdefault(path.relative_to(package).as_posix(), set()).add(name)
    assert found == ASKED
