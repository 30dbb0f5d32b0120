"""The worst small step, against autograd's Hessian and against random steps."""

import pytest
import torch
from torch import nn

from contrastive import ContrastiveEstimator, make_energy, make_noise
from contrastive.config import configure, with_recipe
from contrastive.data.sources import Batch
from contrastive.energies.few_labels import conv_large, conv_small
from contrastive.objectives.virtual_adversarial import adversarial_step, kl_divergence, virtual_adversarial_loss
from contrastive.training.terms import VirtualAdversarialTerm, make_terms


def network(inputs=5, classes=4, seed=0):
    torch.manual_seed(seed)
    layers = nn.Sequential(nn.Linear(inputs, 16), nn.Tanh(), nn.Linear(16, classes))
    for layer in (layers[0], layers[2]):
        nn.init.normal_(layer.weight, std=0.7)
    return layers.double()


def hessian(model, z):
    """Of u -> KL(P(. | z) || P(. | z + u)) at u = 0, by autograd."""
    log_p = model(z[None]).log_softmax(-1).detach()
    divergence = lambda u: kl_divergence(log_p, model((z + u)[None]).log_softmax(-1)).sum()  # noqa: E731
    return torch.autograd.functional.hessian(divergence, torch.zeros_like(z))


def test_power_iteration_finds_the_hessians_top_eigenvector():
    model, z = network(), torch.randn(20, 5, dtype=torch.float64)
    step, _ = adversarial_step(model, z, epsilon=1.0, power_iterations=300)
    for point, found in zip(z, step):
        values, vectors = torch.linalg.eigh(hessian(model, point))
        assert values[-1] > values[-2]
        assert abs(float(found @ vectors[:, -1])) == pytest.approx(1, abs=1e-4)


def test_one_iteration_is_the_hessian_times_the_start():
    model, z = network(), torch.randn(6, 5, dtype=torch.float64)
    torch.manual_seed(3)
    start = torch.randn_like(z)
    torch.manual_seed(3)
    step, _ = adversarial_step(model, z, epsilon=0.3, power_iterations=1)
    for point, direction, found in zip(z, start, step):
        product = hessian(model, point) @ direction
        torch.testing.assert_close(found, 0.3 * product / product.norm())


def test_the_step_raises_the_divergence_more_than_random_ones():
    """At 200 points, 1 iteration against 20 random steps each. A step without merit beats a random one at half of them
    and is above their mean with probability 1/2 a point: 150 of 200 by chance has probability 4e-13.
    """
    model, z = network(inputs=20), torch.randn(200, 20, dtype=torch.float64)
    step, log_p = adversarial_step(model, z, epsilon=0.1, power_iterations=1)

    def raised(u):
        return kl_divergence(log_p, model(z + u).log_softmax(-1)).detach()

    random = torch.randn(20, 200, 20, dtype=torch.float64)
    random = 0.1 * random / random.norm(dim=-1, keepdim=True)
    mean = torch.stack([raised(u) for u in random]).mean(0)
    assert step.norm(dim=1).tolist() == pytest.approx([0.1] * 200)
    assert int((raised(step) > mean).sum()) >= 150
    assert float(raised(step).mean()) > 2 * float(mean.mean())


def test_the_gradient_moves_the_perturbed_posterior_alone():
    model, z = network(), torch.randn(30, 5, dtype=torch.float64)
    torch.manual_seed(7)
    loss = virtual_adversarial_loss(model, z, epsilon=0.5)
    torch.manual_seed(7)
    step, log_p = adversarial_step(model, z, epsilon=0.5)
    p = model(z).softmax(-1).detach()
    torch.testing.assert_close(log_p.exp(), p)
    by_hand = (p * (p.log() - model(z + step).log_softmax(-1))).sum(1).mean()
    torch.testing.assert_close(loss, by_hand)
    ours, theirs = (torch.autograd.grad(value, list(model.parameters())) for value in (loss, by_hand))
    for a, b in zip(ours, theirs):
        torch.testing.assert_close(a, b)


def test_a_flat_posterior_has_no_worst_step_and_no_loss():
    flat = nn.Linear(3, 2)
    nn.init.zeros_(flat.weight)
    loss = virtual_adversarial_loss(flat, torch.randn(5, 3), epsilon=1.0)
    assert float(loss) == 0
    assert all(bool(torch.isfinite(g).all()) for g in torch.autograd.grad(loss, list(flat.parameters())))


def test_float32_finds_the_direction_that_float64_finds():
    """Also where the posterior is sure, and its curvature 1e-12 of the logits'."""
    model, z = network(), torch.randn(50, 5, dtype=torch.float64)
    with torch.no_grad():
        model[2].weight.mul_(5)
    torch.manual_seed(0)
    exact, _ = adversarial_step(model, z, epsilon=1.0, power_iterations=100)
    rough, _ = adversarial_step(model.float(), z.float(), epsilon=1.0, power_iterations=100)
    agreement = (exact * rough.double()).sum(1).abs()
    assert int((agreement > 0.99).sum()) >= 45


def test_the_term_has_dropout_off_and_leaves_the_mode():
    class Dropping(nn.Module):
        num_classes = 3

        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.5), nn.Linear(8, 3))

        def forward(self, x):
            return self.layers(x)

    estimator = ContrastiveEstimator(Dropping(), make_noise("gaussian", event_shape=(2,)))
    term, batch = VirtualAdversarialTerm(2.0, 0.3, 1), Batch(torch.randn(20, 2))
    losses = []
    for mode in (estimator.train(), estimator.eval()):
        torch.manual_seed(0)
        losses.append(float(term(mode, batch)))
        assert all(module.training == mode.training for module in mode.energy.modules())
        estimator.train()
    torch.manual_seed(0)
    once = virtual_adversarial_loss(estimator.eval().class_logits, batch.z, epsilon=0.3)
    assert losses[0] == losses[1] == pytest.approx(2 * float(once))


def test_it_works_through_convolutions_with_weight_norm_and_max_pools():
    for make, widths in {conv_small: (3, 4), conv_large: (3, 3, 4, 4, 4)}.items():
        energy, z = make((1, 12, 12), widths=widths, num_classes=3), torch.randn(4, 1, 12, 12)
        loss = virtual_adversarial_loss(energy.eval(), z, epsilon=1.0)
        assert 0 < float(loss) < 10
        assert bool(torch.isfinite(torch.autograd.grad(loss, energy.top.bias)[0]).all())


def test_the_recipe_makes_the_term():
    energy = make_energy("mlp", event_shape=(2,), num_classes=2)
    estimator = ContrastiveEstimator(energy, make_noise("gaussian", event_shape=(2,)))
    terms = make_terms(
        with_recipe(configure(vat_weight=0.5, vat_power_iterations=3), images=False), estimator, labelled=False
    )
    assert [(term.weight, term.power_iterations) for term in terms] == [(0.5, 3)]
    assert terms[0].epsilon == pytest.approx(0.05 * 2**0.5)
