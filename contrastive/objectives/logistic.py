"""The logistic loss of noise contrastive estimation."""

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus


def logistic(
    r_data: Float[Tensor, " data"], r_noise: Float[Tensor, " noise"], noise_ratio: float
) -> tuple[Float[Tensor, " data"], Float[Tensor, " noise"]]:
    """Minus the NCE log-likelihood, a loss a row: `softplus(-r_data)` and `nu softplus(r_noise)`.

    softplus(-r) = -log sigmoid(r) stays finite, with a bounded gradient, for every finite r. The sum of both means is
    -V of FCE.

    Args:
        r_data: log-ratios at the data, nats.
        r_noise: log-ratios at the noise draws, nats.
        noise_ratio: nu > 0, the weight of the noise.

    Reference: Gutmann & Hyvarinen (2012), "Noise-contrastive estimation of unnormalized statistical models", eq. 8.
    """
    return softplus(-r_data), noise_ratio * softplus(r_noise)
