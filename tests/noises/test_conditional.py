"""Noises over joint rows (x, y): their measure, their contexts, and what they keep."""

import copy
import pickle
from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from contrastive import ContrastiveError, joint_noise, make_noise
from contrastive.noises import Stack
from contrastive.noises.conditional import JointNoise, conditions, contexts_fixed, make_noise_over, require_contexts
from contrastive.noises.linear_gaussian import LinearGaussian
from contrastive.protocols import (
    AdaptiveNoise,
    FittableNoise,
    InitializableNoise,
    NoiseModel,
    NoiseOverRows,
    is_ready,
    num_given,
    prepare_noise,
)
from contrastive.registry import noises
from contrastive.testing.strategies import batch_shapes

FALSE_ALARM = 1e-6


def rows(n=200, d=2, k=1, seed=0):
    """Rows (x, y), x about a line in y."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.randn(n, k, generator=generator, dtype=torch.float64)
    return torch.cat([3 + y[:, :1] - torch.randn(n, d, generator=generator, dtype=torch.float64), y], 1)


def line(d=2, k=1, **settings):
    """A fitted noise over rows."""
    noise = joint_noise(LinearGaussian((d,), (k,))).double()
    noise.fit(rows(d=d, k=k, **settings))
    return noise


@given(batch=batch_shapes(), d=st.integers(1, 3), k=st.integers(1, 3))
def test_its_log_density_is_that_of_x_given_y(batch, d, k):
    noise = line(d, k)
    value = torch.randn(*batch, d + k, dtype=torch.float64)
    flat = value.reshape(-1, d + k)
    expected = noise.conditional.log_prob(flat[:, :d], given=flat[:, d:]).reshape(batch)
    torch.testing.assert_close(noise.log_prob(value), expected)
    assert noise.sample(torch.Size(batch)).shape == (*batch, d + k)
    x, log_q = noise.rsample_and_log_prob(torch.Size(batch))
    torch.testing.assert_close(noise.log_prob(x), log_q)


def test_its_mass_is_one_by_lebesgues_measure_times_the_law_of_the_contexts():
    noise, grid = line(1, 1), torch.linspace(-30, 30, 6001, dtype=torch.float64)
    contexts = noise.contexts[:40]
    values = torch.cartesian_prod(contexts.flatten(), grid).flip(1).reshape(40, -1, 2)
    mass = torch.trapezoid(noise.log_prob(values).exp(), grid).detach()  # of each context
    torch.testing.assert_close(mass.mean(), torch.ones((), dtype=torch.float64))


def test_contexts_of_draws_are_those_of_the_data_equally_often():
    """False alarm 1e-6, by a chi-square test."""
    noise, data, n = line(n=20), rows(n=20), 10_000
    drawn = noise.sample(torch.Size([n]))[:, 2]
    counts = (drawn[:, None] == data[:, 2]).sum(0).double()
    assert counts.sum() == n
    assert float((counts - n / 20).square().sum() / (n / 20)) < chi2.isf(FALSE_ALARM, 19)


def test_x_is_drawn_at_the_context_that_stands_beside_it():
    """The residuals of the line have mean 0, and that times y; false alarm 1e-6 each, normal approximation."""
    noise, y = line(d=1), torch.linspace(-5, 5, 5000, dtype=torch.float64)[:, None]
    drawn = noise.sample_given(y)
    assert torch.equal(drawn[:, 1:], y)
    inner = noise.conditional
    standard = ((drawn[:, :1] - y @ inner.weight.mT - inner.loc) / inner.log_diagonal.exp()).detach()
    assert float((standard * y).mean().abs() / y.square().mean().sqrt()) * 5000**0.5 < 4.9
    assert float(standard.mean().abs()) * 5000**0.5 < 4.9


def test_draws_have_a_path_to_the_parameters_and_none_to_the_contexts():
    noise = line()
    x, _ = noise.rsample_and_log_prob(torch.Size([50]))
    (gradient,) = torch.autograd.grad(x[:, :2].sum(), noise.conditional.loc, retain_graph=True)
    torch.testing.assert_close(gradient, torch.full_like(gradient, 50))
    (gradient,) = torch.autograd.grad(x[:, 2].sum(), noise.conditional.loc, allow_unused=True)
    assert gradient is None or not gradient.any()


class Bare:
    """A conditional noise with the two methods alone."""

    def __init__(self, event_shape=(1,), context_shape=(1,)):
        self.event_shape, self.context_shape = torch.Size(event_shape), torch.Size(context_shape)

    def sample(self, *, given):
        return given

    def log_prob(self, value, *, given):
        return -(value - given).square().sum(1)


def able(fits, initializes, reparametrizes):
    """A `Bare` with more methods."""
    methods = {}
    if fits:
        methods |= {"is_fitted": False, "fit": lambda self, x, *, given: setattr(self, "is_fitted", True)}
    if initializes:
        seen = lambda self, x, *, given: setattr(self, "is_initialized", x.shape == given.shape)  # noqa: E731
        methods |= {"is_initialized": False, "initialize": seen}
    if reparametrizes:
        methods |= {"rsample_and_log_prob": lambda self, *, given: (given, given.sum(1)), "parameters": lambda self: []}
    return type("Able", (Bare,), methods)()


@pytest.mark.parametrize(("fits", "initializes", "reparametrizes"), [*product([False, True], repeat=3)])
def test_it_can_what_its_conditional_can(fits, initializes, reparametrizes):
    noise = joint_noise(able(fits, initializes, reparametrizes))
    assert isinstance(noise, NoiseModel)
    assert isinstance(noise, NoiseOverRows)
    assert isinstance(noise, InitializableNoise), "it takes contexts from data"
    assert isinstance(noise, FittableNoise) == fits
    assert isinstance(noise, AdaptiveNoise) == reparametrizes
    assert not is_ready(noise)
    prepare_noise(noise, rows(d=1))
    assert is_ready(noise)
    assert noise.sample(torch.Size([3])).shape == (3, 2)
    assert (getattr(noise.conditional, "is_fitted", True), getattr(noise.conditional, "is_initialized", True)) == (
        True,
    ) * 2


def test_without_contexts_it_draws_nothing_and_with_them_at_once():
    with pytest.raises(ContrastiveError, match="no contexts to draw rows with"):
        joint_noise(Bare()).sample()
    contexts = torch.tensor([[4.0]])
    assert joint_noise(Bare(), contexts).sample(torch.Size([2])).tolist() == [[4.0, 4.0]] * 2


def test_of_many_contexts_it_keeps_50_000_from_first_to_last():
    noise = joint_noise(Bare(), torch.arange(120_001.0)[:, None])
    assert len(noise.contexts) == 50_000
    assert noise.contexts[[0, -1], 0].tolist() == [0, 120_000]
    assert float(noise.contexts.mean()) == pytest.approx(60_000, rel=1e-3)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda noise: pickle.loads(pickle.dumps(noise))])
def test_a_copy_is_the_same_density_with_contexts_of_its_own(copied):
    noise = line()
    other, x = copied(noise), rows(seed=1)
    torch.testing.assert_close(other.log_prob(x), noise.log_prob(x), rtol=0, atol=0)
    assert torch.equal(other.contexts, noise.contexts)
    other.contexts.zero_()
    assert noise.contexts.any()


def test_a_saved_state_brings_as_many_contexts_as_were_seen():
    noise, fresh = line(), joint_noise(LinearGaussian((2,), (1,))).double()
    fresh.load_state_dict(noise.state_dict())
    assert is_ready(fresh)
    assert torch.equal(fresh.contexts, noise.contexts)
    torch.manual_seed(0)
    expected = noise.sample(torch.Size([5]))
    torch.manual_seed(0)
    assert torch.equal(fresh.sample(torch.Size([5])), expected)
    other = joint_noise(LinearGaussian((2,), (2,)))
    with pytest.raises(RuntimeError, match="size mismatch"):
        other.load_state_dict(noise.state_dict())


def test_fixed_contexts_are_the_only_ones_and_come_back():
    noise = line()
    before = noise.contexts.clone()
    with contexts_fixed(noise, torch.tensor([[7.0]])):
        assert noise.sample(torch.Size([4]))[:, 2].tolist() == [7.0] * 4
        with contexts_fixed(noise, torch.tensor([[8.0]])):
            assert noise.sample()[2] == 8
        assert noise.sample()[2] == 7
    assert torch.equal(noise.contexts, before)
    assert bool(noise.seen)


def test_contexts_come_back_after_an_error():
    noise = line()
    before = noise.contexts.clone()
    with pytest.raises(ZeroDivisionError), contexts_fixed(noise, torch.tensor([[7.0]])):
        raise ZeroDivisionError
    assert torch.equal(noise.contexts, before)


def test_a_noise_that_has_seen_no_context_has_seen_none_after_fixed_ones():
    noise = joint_noise(Bare())
    with contexts_fixed(noise, torch.tensor([[7.0]])):
        assert noise.sample().tolist() == [7, 7]
    assert not noise.is_initialized
    with pytest.raises(ContrastiveError, match="no contexts"):
        noise.sample()


def test_contexts_are_fixed_in_every_part_of_a_stack():
    stack = Stack((3,), parts=[{"name": "gaussian"}, {"name": "diag-gaussian"}], num_given=1)
    stack.fit(rows().float())
    with contexts_fixed(stack, torch.tensor([[7.0]])):
        assert stack.sample(torch.Size([30]))[:, 2].tolist() == [7.0] * 30
    assert len(stack.sample(torch.Size([30]))[:, 2].unique()) > 5


@pytest.mark.parametrize(
    ("noise", "k", "message"),
    [
        (lambda: make_noise("gaussian", event_shape=(2,)), 1, "conditions on 0 columns, got contexts of 1"),
        (lambda: joint_noise(Bare()), 2, "conditions on 1 columns, got contexts of 2"),
    ],
)
def test_contexts_of_another_width_are_refused(noise, k, message):
    with pytest.raises(ContrastiveError, match=message), contexts_fixed(noise(), torch.zeros(1, k)):
        pass


def test_a_stack_is_the_weighted_sum_of_conditional_densities():
    stack = Stack(
        (3,), parts=[{"name": "gaussian"}, {"name": "gaussian-mixture", "components": 2}], weights=[1, 3], num_given=1
    ).double()
    stack.fit(rows())
    x = rows(seed=1)
    densities = [part.conditional.log_prob(x[:, :2], given=x[:, 2:]).exp() for part in stack.parts]
    torch.testing.assert_close(stack.log_prob(x), (0.25 * densities[0] + 0.75 * densities[1]).log())
    assert num_given(stack) == 1
    y = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]
    assert torch.equal(stack.sample_given(y)[:, 2:], y)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: joint_noise(torch.distributions.Normal(0, 1)), "Normal is no conditional noise"),
        (lambda: joint_noise(Bare(event_shape=(2, 2))), r"events of shape \(2, 2\)"),
        (lambda: joint_noise(Bare(context_shape=())), r"contexts of shape \(\)"),
        (lambda: joint_noise(Bare(context_shape=(0,))), r"contexts of shape \(0,\)"),
        (lambda: make_noise_over("kde", event_shape=(3,), num_given=1), "take one of .*gaussian"),
        (lambda: make_noise_over("made", event_shape=(3,), num_given=1, width=0), "width"),
        (lambda: make_noise("gaussian", event_shape=(2,), context_shape=(1,), breadth=2), "no option 'breadth'"),
        (lambda: require_contexts(torch.zeros(3, 2), 4, (2,), "line"), r"this line takes.*\(4, 2\).*got \(3, 2\)"),
    ],
)
def test_what_is_no_noise_given_vectors_is_refused_in_one_line(make, message):
    with pytest.raises(ContrastiveError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_a_noise_over_rows_is_made_by_name_and_a_plain_one_without_given_columns():
    assert isinstance(make_noise_over("gaussian", event_shape=(3,), num_given=2), JointNoise)
    assert num_given(make_noise_over("gaussian", event_shape=(3,))) == 0
    stack = make_noise_over("stack", event_shape=(3,), num_given=2, parts=[{"name": "gaussian"}])
    assert num_given(stack) == 2
    assert [part.num_given for part in stack.parts] == [2]


def test_every_conditional_counterpart_takes_the_options_of_its_name():
    assert {"gaussian", "diag-gaussian", "gaussian-mixture", "made", "glow", "nsf"} <= set(noises.conditional_names())
    for name in noises.conditional_names():
        made = make_noise(name, event_shape=(2,), context_shape=(3,))
        assert (made.event_shape, made.context_shape) == ((2,), (3,)), name


def test_a_factory_that_takes_contexts_itself_is_its_own_counterpart():
    @conditions
    def make(event_shape, *, context_shape=()):
        return event_shape, context_shape

    assert make.conditional((2,), context_shape=(1,)) == ((2,), (1,))
    assert make((2,)) == ((2,), ())
