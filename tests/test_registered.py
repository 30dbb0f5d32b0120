"""Every noise and energy that the registry knows, through the conformance kit: a new one is tested as it stands."""

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from contrastive import ContrastiveError, available_energies, available_noises
from contrastive.registry import energies, noises
from contrastive.testing import SUITES, CheckFailed, make_subject, outcomes_of
from contrastive.testing.densities import DENSITY
from contrastive.testing.strategies import batch_shapes, seeds

SHAPES = [(2,), (1,), (3,), (2, 2), (1, 2, 3), (3, 2, 2)]
#: Shapes of names that need larger events.
LARGER = {name: [(1, 12, 12)] for name in ("conv-small", "conv-large")}
#: Options that a name cannot be made without.
REQUIRED = {"distribution": {"path": "torch.distributions.Laplace", "loc": 0.5, "scale": 2.0}}
#: Options that make a name quick to check; a name without them is checked as it stands.
SMALL = {
    "kde": {"max_rows": 200},
    "maf": {"transforms": 2, "width": 16},
    "iaf": {"transforms": 2, "width": 16},
    "nsf": {"transforms": 1, "bins": 4, "width": 16},
    "conv": {"widths": (8,)},
    "conv-small": {"widths": (4, 6)},
    "conv-large": {"widths": (4, 6, 6, 5, 4)},
    "zuko/maf": {"transforms": 2, "hidden_features": [16]},
    "zuko/nsf": {"transforms": 1, "bins": 4, "hidden_features": [16]},
    "zuko/bpf": {"degree": 6, "hidden_features": [16]},
    "zuko/sospf": {"degree": 2, "polynomials": 2, "hidden_features": [16]},
    "zuko/naf": {"signal": 2, "network": {"hidden_features": [8]}, "hidden_features": [8]},
}
#: Names that are slow in many dimensions are checked in the smaller shapes.
SLOW = {"zuko/bpf", "zuko/sospf", "zuko/naf"}
#: Draws, few: what a check of so many names can spend. Errors of the size of a planted defect are still seen.
ROWS = 4000
STATISTICAL = [check.name for check in DENSITY]
#: A run of the kit is no small example.
EXAMPLES = max(3, settings().max_examples // 8)
CHEAP = [check.name for check in SUITES["noise"] if check.name not in STATISTICAL]


def options_of(name):
    return REQUIRED.get(name, {}) | SMALL.get(name, {})


def shapes_of(registry, name):
    """Those of `SHAPES` for which `name` can be made, and checked in time."""
    possible = []
    for shape in LARGER.get(name, SHAPES[:3] if name in SLOW else SHAPES):
        try:
            registry.make(name, event_shape=shape, **options_of(name))
        except ContrastiveError:
            continue
        possible.append(shape)
    assert possible, f"{name} can be made for none of {SHAPES}"
    return possible


def run(registry, name, shape, seed, only=None):
    kind = "noise" if registry is noises else "energy"
    factory = partial(registry.make, name, event_shape=shape, **options_of(name))
    outcomes = list(outcomes_of(make_subject(factory, kind, shape, seed=seed, rows=ROWS), only))
    failed = [f"{outcome.check}: {outcome.reason}" for outcome in outcomes if outcome.verdict == "failed"]
    if failed:
        raise CheckFailed(f"{name} over {shape}, seed {seed}: " + "; ".join(failed))
    assert any(outcome.verdict == "passed" for outcome in outcomes)


@pytest.mark.parametrize("name", available_noises())
def test_a_noise_is_the_density_of_its_draws(name):
    run(noises, name, shapes_of(noises, name)[0], seed=0, only=STATISTICAL)


@pytest.mark.parametrize("name", available_noises())
@settings(max_examples=EXAMPLES)
@given(data=st.data(), seed=seeds())
def test_a_noise_keeps_its_promises(name, data, seed):
    run(noises, name, data.draw(st.sampled_from(shapes_of(noises, name))), seed, only=CHEAP)


@pytest.mark.parametrize("name", available_noises())
@given(data=st.data(), batch=batch_shapes())
def test_a_noise_has_the_shapes_of_a_distribution(name, data, batch):
    shape = data.draw(st.sampled_from(shapes_of(noises, name)))
    subject = make_subject(partial(noises.make, name, event_shape=shape, **options_of(name)), "noise", shape)
    noise = subject.model()
    x = noise.sample(torch.Size(batch))
    assert x.shape == (*batch, *shape)
    assert noise.log_prob(x).shape == batch


@pytest.mark.parametrize("name", available_energies())
@given(data=st.data(), seed=seeds())
def test_an_energy_keeps_its_promises(name, data, seed):
    run(energies, name, data.draw(st.sampled_from(shapes_of(energies, name))), seed)
