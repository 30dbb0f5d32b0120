"""Stacks of noises against the sum that defines them, and their weights against the maximum of the likelihood."""

import copy

import numpy as np
import pytest
import scipy.optimize
import torch
from scipy.stats import chi2

from contrastive import ContrastiveError, make_noise
from contrastive.config import configure
from contrastive.noises import Gaussian, KernelDensity, Stack
from contrastive.noises.stack import stacking_weights
from contrastive.protocols import learns_by_gradient

PARTS = [{"name": "gaussian"}, {"name": "kde", "covariance": "diagonal"}]
FALSE_ALARM = 1e-6


def rows(n=200, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, 2, generator=generator) + 4 * torch.randint(2, (n, 1), generator=generator)


def fitted(**options):
    stack = Stack((2,), **({"parts": PARTS, "weights": [1.0, 3.0]} | options))
    stack.fit(rows())
    return stack


def test_its_density_is_the_weighted_sum_of_its_parts():
    stack, x = fitted(), rows(50, seed=1)
    gaussian, kernels = Gaussian((2,)), KernelDensity((2,), covariance="diagonal")
    for part in (gaussian, kernels):
        part.fit(rows())
    expected = (0.25 * gaussian.log_prob(x).exp() + 0.75 * kernels.log_prob(x).exp()).log()
    torch.testing.assert_close(stack.log_prob(x), expected)
    torch.testing.assert_close(stack.log_prob(x.reshape(5, 10, 2)), expected.reshape(5, 10))


def test_draws_come_from_each_part_by_its_weight():
    """False alarm 1e-6, by a chi-square test of two shares and one of three."""
    for weights in ([1.0, 9.0], [1.0, 2.0, 5.0]):
        # Parts far from each other say from which a draw is.
        parts = [{"name": "gaussian", "loc": 100.0 * k} for k in range(len(weights))]
        stack = Stack((2,), parts=parts, weights=weights)
        torch.manual_seed(0)
        n = 4000
        x = stack.sample(torch.Size([n]))
        counts = torch.bincount((x[:, 0] / 100).round().long(), minlength=len(weights)).double().numpy()
        expected = n * np.array(weights) / sum(weights)
        assert ((counts - expected) ** 2 / expected).sum() < chi2.isf(FALSE_ALARM, len(weights) - 1)
    assert stack.sample(torch.Size([3, 2])).shape == (3, 2, 2)
    assert stack.sample(torch.Size([0])).shape == (0, 2)


def test_the_weights_have_the_largest_likelihood():
    log_q = torch.stack([part.log_prob(rows(300, seed=2)) for part in fitted().parts], 1).double()
    found = stacking_weights(log_q, iterations=3000)

    def loss(share):
        return -float((log_q + torch.tensor([share, 1 - share]).log()).logsumexp(1).mean())

    best = scipy.optimize.minimize_scalar(loss, bounds=(1e-9, 1 - 1e-9), method="bounded", options={"xatol": 1e-7})
    assert float(found[0]) == pytest.approx(best.x, abs=1e-3)
    assert float(found.sum()) == pytest.approx(1)


def test_a_state_is_read_back_with_all_its_parts():
    stack = fitted()
    other = Stack((2,), parts=PARTS, weights=[1.0, 3.0])
    assert not other.is_fitted
    other.load_state_dict(copy.deepcopy(stack.state_dict()))
    assert other.is_fitted
    x = rows(20, seed=3)
    assert torch.equal(other.log_prob(x), stack.log_prob(x))


def test_parts_that_learn_by_gradient_are_known():
    assert not learns_by_gradient(fitted())
    assert learns_by_gradient(Stack((2,), parts=[{"name": "gaussian"}, {"name": "made", "width": 8}]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"parts": []}, "parts of a stack are noises by name"),
        ({"parts": ["gaussian"]}, "parts of a stack are noises by name"),
        ({"parts": PARTS, "weights": [1.0]}, "a stack of 2 parts takes as many positive weights"),
        ({"parts": PARTS, "weights": [1.0, -1.0]}, "positive weights"),
        ({"parts": [{"name": "gausian"}]}, "gaussian"),
        ({"parts": [{"name": "kde", "width": 3}]}, "no option 'width'"),
        ({"parts": [{"name": "bernoulli-spins"}]}, "discrete"),
        ({"parts": [{"name": "distribution", "path": "helper.Noise"}]}, "import"),
        ({"parts": [{"name": "distribution", "path": "helper.Noise", "allow_import": True}]}, "no config can allow"),
        ({"parts": [{"name": "gaussian", "event_shape": [3]}]}, "is no setting"),
    ],
)
def test_what_cannot_be_stacked_is_refused_in_one_line(options, message):
    with pytest.raises(ContrastiveError, match=message) as refused:
        make_noise("stack", event_shape=(2,), **options)
    assert "\n" not in str(refused.value)


def test_its_options_pass_through_a_config():
    config = configure(noise={"name": "stack", "parts": PARTS, "weights": [0.5, 0.5]})
    assert config.noise.options == {"parts": PARTS, "weights": [0.5, 0.5]}
