"""The Frechet distance between Gaussians with the moments of two sets of embeddings."""

import torch
from jaxtyping import Float
from torch import Tensor

from contrastive.errors import ContrastiveError
from contrastive.metrics.images.moments import EmbeddingMoments


def frechet_distance(a: EmbeddingMoments, b: EmbeddingMoments) -> float:
    """|m_a - m_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^(1/2)), the squared 2-Wasserstein distance of two Gaussians.

    With S = L L^T, the trace of (S_a S_b)^(1/2) is the sum of the singular values of L_a^T L_b: nothing complex, no
    offset on the diagonal for covariances of deficient rank, and full precision, where the eigenvalues of S_a S_b
    would first lose half of the digits under the square root.

    Biased upwards at finite n, by about `frechet_bias`: compare at equal n only.

    Raises:
        ContrastiveError: if the dimensions differ, or a set has fewer than two members.

    References:
        Heusel et al. (2017), "GANs trained by a two time-scale update rule converge to a local Nash equilibrium".
        Chong & Forsyth (2020), "Effectively unbiased FID and Inception Score and where to find them", on the bias.

    Example:
        >>> x = torch.randn(50, 3)
        >>> round(frechet_distance(EmbeddingMoments.of(x), EmbeddingMoments.of(x + 2)), 4)
        12.0
    """
    if len(a.mean) != len(b.mean):
        raise ContrastiveError(f"embeddings of {len(a.mean)} and of {len(b.mean)} dimensions cannot be compared")
    covariance_a, covariance_b = a.covariance, b.covariance
    cross = torch.linalg.svdvals(_factor(covariance_a).T @ _factor(covariance_b)).sum()
    distance = (a.mean - b.mean).square().sum() + covariance_a.trace() + covariance_b.trace() - 2 * cross
    return max(0.0, float(distance))  # equal sets: rounding may leave -1e-13


def frechet_bias(covariance: Float[Tensor, "d d"], n: int, m: int) -> float:
    """What the Frechet distance between n and m draws of ONE Gaussian is on average, to leading order in 1/n and 1/m.

    (1/n + 1/m) (tr S + 1/2 sum_i sum_j (1 + [i = j]) s_i s_j / (s_i + s_j)) for eigenvalues s of S: the first term from
    the means, the second from the covariances (expand the Bures distance to second order). For S = 1 in d dimensions:
    (1/n + 1/m) (d + d (d + 1) / 4). Good for n and m well above d.

    Args:
        covariance: S.
        n: draws on one side.
        m: draws on the other.
    """
    s = torch.linalg.eigvalsh(covariance.double()).clamp(min=0)
    pairs = torch.nan_to_num(s[:, None] * s / (s[:, None] + s))  # 0 / 0 where both vanish
    return float((1 / n + 1 / m) * (s.sum() + (pairs.sum() + pairs.trace()) / 2))


def _factor(covariance: Float[Tensor, "d d"]) -> Float[Tensor, "d r"]:
    """L with L L^T = S, of as many columns as S has rank."""
    values, vectors = torch.linalg.eigh(covariance)
    positive = values > len(values) * torch.finfo(values.dtype).eps * values[-1]
    return vectors[:, positive] * values[positive].sqrt()
