"""The labelled part of semi-supervised contrast: Gao et al. (2020), eq. 17."""

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy


def labelled_loss(logits: Float[Tensor, "n K"], y: Int[Tensor, " n"]) -> Float[Tensor, ""]:
    """Mean of -log P(y | x) over the rows that have a label, nats; 0 where none has.

    Args:
        logits: log pi_k + log p(x | k), or what differs from it by a constant a row.
        y: classes from 0 to K - 1; -1 is unlabelled.
    """
    known = y >= 0
    total = cross_entropy(logits, y, ignore_index=-1, reduction="sum")
    return total / known.sum().clamp_min(1)
