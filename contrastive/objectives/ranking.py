"""Objectives in which c cancels: they learn f alone, and `estimator.log_partition` supplies log Z."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from contrastive.errors import ContrastiveError
from contrastive.objectives.base import Objective


class Ranking(Objective):
    """Pick the data point out of itself and K noise draws of its own: -s_0 + logsumexp(s_0, ..., s_K), s = f - log q.

    K is `noise_per_data`. Neither c nor nu has a say: both shift every s alike. Of a conditional density the K draws
    have the context of the data point, so that c(y) cancels too: f needs not absorb it.

    Reference: Ma & Collins (2018), "Noise contrastive estimation and negative sampling for conditional models:
    consistency and statistical efficiency", arXiv 1809.01812; as InfoNCE: van den Oord et al. (2018).
    """

    learns_normalizer = False
    allows_adaptive_noise = False

    def __call__(
        self, r_data: Float[Tensor, " data"], r_noise: Float[Tensor, " noise"], noise_ratio: float
    ) -> tuple[Float[Tensor, " data"], Float[Tensor, " noise"]]:
        """The loss of every data point, and nothing of the noise's own.

        Raises:
            ContrastiveError: if the draws are not a whole number for each data point.
        """
        n, m = len(r_data), len(r_noise)
        if m % n:
            raise ContrastiveError(f"ranking needs a whole number of noise draws a data point, got {m} for {n}")
        scores = torch.cat([r_data[:, None], r_noise.reshape(n, -1)], 1)
        return scores.logsumexp(1) - r_data, torch.zeros_like(r_noise)


class MonteCarloLikelihood(Objective):
    """Maximum likelihood with log Z by importance sampling: -mean s at the data + logmeanexp s at the noise.

    `is-mle` with its c at the optimum, which is then not learned. The log of a mean of draws is biased by half the
    weights' relative variance over their number: make many draws.

    References: Geyer (1994), "On the convergence of Monte Carlo maximum likelihood calculations"; the same bound:
    Donsker & Varadhan (1975).
    """

    learns_normalizer = False
    allows_adaptive_noise = False

    def __call__(
        self, r_data: Float[Tensor, " data"], r_noise: Float[Tensor, " noise"], noise_ratio: float
    ) -> tuple[Float[Tensor, " data"], Float[Tensor, " noise"]]:
        """`-r` at the data; at the noise the log of the mean ratio, the same for every draw."""
        log_mean = r_noise.logsumexp(0) - math.log(len(r_noise))
        return -r_data, log_mean.expand(len(r_noise))
