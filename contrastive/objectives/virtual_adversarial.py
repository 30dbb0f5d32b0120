"""Virtual adversarial training: the class posterior is made robust to the worst small perturbation of a point.

Miyato, Maeda, Koyama & Ishii (2018), "Virtual adversarial training: a regularization method for supervised and
semi-supervised learning", TPAMI 41, eq. 5 to 12.

For a small step u from z, KL(P(. | z) || P(. | z + u)) = u' H u / 2 with H = J' (diag(p) - p p') J, J the Jacobian of
the logits: the KL's first derivatives vanish at u = 0, so the logits' second ones have no part in H. The product of H
with a vector is therefore exact from one Jacobian product each way; Miyato et al. take a finite difference.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

Logits = Callable[[Tensor], Tensor]


def virtual_adversarial_loss(
    logits_of: Logits, z: Float[Tensor, "n *event"], *, epsilon: float, power_iterations: int = 1
) -> Float[Tensor, ""]:
    """Mean over points of KL(P(. | z) || P(. | z + r)), nats; r is the worst step of length `epsilon`, to 2nd order.

    The first P and r are detached: the gradient is that of P(. | z + r) alone.

    Args:
        logits_of: log P(k | z) up to a constant a row, a function of each row alone.
        z: points in model coordinates.
        epsilon: Euclidean length of the step.
        power_iterations: with which r's direction is found, from a random start.
    """
    step, log_p = adversarial_step(logits_of, z, epsilon=epsilon, power_iterations=power_iterations)
    return kl_divergence(log_p, logits_of(z + step).log_softmax(-1)).mean()


def adversarial_step(
    logits_of: Logits, z: Float[Tensor, "n *event"], *, epsilon: float, power_iterations: int = 1
) -> tuple[Float[Tensor, "n *event"], Float[Tensor, "n K"]]:
    """The step r of length `epsilon` along H's top eigenvector, found by power iteration, and log P(. | z)."""
    points = z.detach().requires_grad_()
    with torch.enable_grad():
        logits = logits_of(points)
    log_p = logits.detach().log_softmax(-1)
    direction = _unit(torch.randn_like(points))
    for _ in range(power_iterations):
        direction = _unit(_curvature(logits, points, log_p.exp(), direction))
    return epsilon * direction, log_p


def kl_divergence(log_p: Float[Tensor, "n K"], log_q: Float[Tensor, "n K"]) -> Float[Tensor, " n"]:
    """KL(P || Q) of each row, nats."""
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def _curvature(logits: Tensor, points: Tensor, p: Tensor, direction: Tensor) -> Tensor:
    """H times `direction`, row by row."""
    with torch.enable_grad():
        cotangent = torch.zeros_like(logits, requires_grad=True)
        (pulled,) = torch.autograd.grad(logits, points, cotangent, create_graph=True)  # J' cotangent, linear in it
        (pushed,) = torch.autograd.grad(pulled, cotangent, direction, retain_graph=True)  # J direction
    weighted = p * (pushed - (p * pushed).sum(-1, keepdim=True))
    (product,) = torch.autograd.grad(logits, points, weighted, retain_graph=True)
    return product.detach()


def _unit(x: Tensor) -> Tensor:
    """Each row at length 1; a row of zeros, where P is flat to 2nd order, stays so."""
    # By the largest entry first: the square of a small curvature would underflow.
    x = x / x.abs().flatten(1).amax(1).clamp_min(1e-38).reshape(-1, *[1] * (x.ndim - 1))
    return x / x.flatten(1).norm(dim=1).clamp_min(1e-12).reshape(-1, *[1] * (x.ndim - 1))
