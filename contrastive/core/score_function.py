"""The score-function gradient of an expectation, for noise that cannot be reparameterised."""

import torch
from jaxtyping import Float
from torch import Tensor


def score_function_mean(
    losses: Float[Tensor, " m"], log_q_leaf: Float[Tensor, " m"], log_q: Float[Tensor, " m"]
) -> Float[Tensor, ""]:
    """The mean of `losses`, whose gradient is an unbiased estimate of that of E_q[loss(x, log q(x))].

    grad E_q[loss] = E_q[(loss + d loss / d log q) grad log q]. The bracket's mean over the OTHER draws is subtracted:
    it leaves the expectation as it is, since E_q[grad log q] = 0, and takes away most of the variance. With one draw
    nothing is subtracted.

    Args:
        losses: one a draw, differentiable in `log_q_leaf`.
        log_q_leaf: log q of the draws as a leaf, detached from q's graph.
        log_q: the same numbers in q's graph.

    Reference: Williams (1992), REINFORCE; the leave-one-out baseline: Mnih & Rezende (2016), "Variational inference
    for Monte Carlo objectives".
    """
    (slopes,) = torch.autograd.grad(losses.sum(), log_q_leaf)
    rewards = losses.detach() + slopes
    m = len(rewards)
    advantages = (rewards - rewards.mean()) * (m / (m - 1)) if m > 1 else rewards
    surrogate = (advantages * log_q).mean()
    return losses.detach().mean() + surrogate - surrogate.detach()
