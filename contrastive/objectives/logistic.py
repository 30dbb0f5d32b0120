"""The logistic loss of noise contrastive estimation."""

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus


def logistic(
    r_data: Float[Tensor, " data"], r_noise: Float[Tensor, " noise"], noise_ratio: float
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Minus the NCE log-likelihood: `mean softplus(-r_data)` and `nu mean softplus(r_noise)`.

    softplus(-r) = -log sigmoid(r) stays finite, with a bounded gradient, for every finite r. Their sum is -V of FCE.

    Args:
        r_data: log-ratios at the data, nats.
        r_noise: log-ratios at the noise draws, nats.
        noise_ratio: nu > 0, the weight of the noise.

    Reference: Gutmann & Hyvarinen (2012), "Noise-contrastive estimation of unnormalized statistical models", eq. 8.
    """
    return softplus(-r_data).mean(), noise_ratio * softplus(r_noise).mean()
