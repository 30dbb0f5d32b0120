"""R1, a penalty on the gradient of the log-ratio at the data, which stabilises adversarial training.

Mescheder, Geiger & Nowozin (2018), "Which training methods for GANs do actually converge?", eq. 9 (R1). Where noise
and data agree r is flat, so the penalty does not change the equilibrium. Without it the gradient of the energy does not
vanish there, and the noise oscillates around the data.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor


def gradient_penalty(
    log_ratio: Callable[[Tensor], Tensor], z: Float[Tensor, "n *event"], *, create_graph: bool = True
) -> Float[Tensor, ""]:
    """Mean over points of |dr/dz|^2 / 2.

    Args:
        log_ratio: r, a function of each row alone, shape `(n,)`.
        z: real points in model coordinates.
        create_graph: let it be differentiated in the parameters of r.
    """
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        (slope,) = torch.autograd.grad(log_ratio(z).sum(), z, create_graph=create_graph)
    return slope.square().sum() / (2 * len(z))
