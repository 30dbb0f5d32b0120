"""One log-density a row, how rare such a row is, and which of its entries make it so."""

import torch
from jaxtyping import Float
from torch import Tensor

from contrastive.core.estimator import Estimator
from contrastive.metrics.partition import log_prob_given
from contrastive.numerics.chunks import rows_at_once

_ROWS = 10_000  # at once
_NUMBERS = 1_000_000  # of rows with one entry replaced, at once


@torch.no_grad()
def row_log_probs(
    estimator: Estimator, x: Float[Tensor, "n *event"], log_normalizer: Float[Tensor, " classes"] | None = None
) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """log p and log q of each row, nats, float64, on the CPU; NaN where an entry of the row is not finite.

    Args:
        estimator: what scores.
        x: rows in original units.
        log_normalizer: log Z in the place of the learned c, one entry or one for each class.
    """
    c = estimator.log_normalizer.reshape(-1) if log_normalizer is None else log_normalizer
    complete = x.flatten(1).isfinite().all(1)
    log_p, log_q = (torch.full((len(x),), torch.nan, dtype=torch.float64) for _ in range(2))
    rows = complete.nonzero().squeeze(1)
    for part in rows.split(rows_at_once(tuple(x.shape[1:]), _ROWS)):
        log_p[part.cpu()] = log_prob_given(estimator, x[part], c)
        log_q[part.cpu()] = estimator.noise_log_prob(x[part]).cpu().double()
    return log_p, log_q


def hdr_level(
    log_p: Float[Tensor, " n"], held_out: Float[Tensor, " m"], sample_weight: Float[Tensor, " m"] | None = None
) -> Float[Tensor, " n"]:
    """Share of held-out rows that are more likely than each row, ties counted half: from 0 to 1, large = rare.

    It estimates P(p(X) > p(x)) for X from the data: the level of the highest-density region (Hyndman 1996, "Computing
    and graphing highest density regions") on whose boundary x lies. No estimate of log Z enters but the weights of a
    mixture's classes.

    Args:
        log_p: of the rows, NaN where there is none.
        held_out: log p of rows that were not trained on, by the same model.
        sample_weight: of these rows.
    """
    usable = ~held_out.isnan()
    known, order = held_out[usable].sort()
    weight = torch.ones_like(known, dtype=torch.float64) if sample_weight is None else sample_weight[usable][order]
    mass = torch.nn.functional.pad(weight.cumsum(0), (1, 0))  # of the rows before each
    sides = (mass[torch.searchsorted(known, log_p, right=right)] for right in (False, True))
    return torch.where(log_p.isnan(), torch.nan, 1 - sum(sides) / (2 * mass[-1]))


@torch.no_grad()
def entry_gains(
    estimator: Estimator,
    x: Float[Tensor, "n d"],
    held_out: Float[Tensor, "m d"],
    log_normalizer: Float[Tensor, " classes"] | None = None,
) -> Float[Tensor, "n d"]:
    """How much log p rises, in nats, when one entry of a row is averaged out: which entries make the row rare.

    For entry j it is log mean_i p(x with x_j replaced by h_ij) - log p(x), with h_i the held-out rows: log of the
    density with x_j drawn from its marginal distribution, less log p. It is near 0 or negative for an entry that suits
    the others.

    Args:
        estimator: what scores.
        x: rows in original units, finite.
        held_out: rows to take entries from.
        log_normalizer: as in `row_log_probs`.
    """
    c = estimator.log_normalizer.reshape(-1) if log_normalizer is None else log_normalizer
    n, d = x.shape
    log_p, gains = log_prob_given(estimator, x, c), torch.empty(n, d, dtype=torch.float64)
    for row in range(n):
        for columns in torch.arange(d).split(max(1, _NUMBERS // (d * len(held_out)))):
            replaced = x[row].repeat(len(columns), len(held_out), 1)  # (columns, m, d)
            replaced[torch.arange(len(columns)), :, columns] = held_out[:, columns].T.to(x.dtype)
            log_each = log_prob_given(estimator, replaced.flatten(0, 1), c).reshape(len(columns), -1)
            gains[row, columns] = log_each.logsumexp(1) - torch.tensor(len(held_out)).log() - log_p[row]
    return gains
