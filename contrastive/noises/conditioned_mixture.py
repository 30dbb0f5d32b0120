"""A Gaussian mixture conditioned on some of its columns: the conditional counterpart of `gaussian-mixture`."""

import math
from typing import Any, Protocol

import torch
from jaxtyping import Float
from torch import Tensor, nn

from contrastive.noises.conditional import require_contexts


class Mixture(Protocol):
    """A Gaussian mixture that is fitted to rows: `GaussianMixture`."""

    event_shape: torch.Size
    logits: Tensor
    locs: Tensor
    scale_trils: Tensor

    @property
    def is_fitted(self) -> bool:
        """Whether `fit` has run."""
        ...

    def fit(self, x: Tensor, sample_weight: Any = None) -> None:
        """Fit to rows."""
        ...


class ConditionedMixture(nn.Module):
    """q(x | y) of a Gaussian mixture of (y, x): sum_k w_k(y) N(x; m_k + A_k y, S_k), w_k(y) prop. to w_k N(y; ...).

    The mixture is fitted to the joint rows by EM, and conditioned exactly. So weights and means follow y, and the
    mean is as curved as the components are many (Gaussian mixture regression).

    Args:
        joint: the mixture of rows (y, x), y first: then the Cholesky factor of each component is that of y, and below
            it that of x given y.
        k: columns of y.

    Reference: Ghahramani & Jordan (1993), "Supervised learning from incomplete data via an EM approach", section 4.

    Example:
        >>> y = torch.randn(500, 1)
        >>> from contrastive import make_noise
        >>> noise = make_noise("gaussian-mixture", event_shape=(1,), context_shape=(1,), components=3)
        >>> noise.fit(y.square() + 0.1 * torch.randn(500, 1), given=y)
        >>> noise.log_prob(torch.zeros(4, 1), given=torch.zeros(4, 1)).shape
        torch.Size([4])
    """

    rounds_networks_only = True

    def __init__(self, joint: Mixture, k: int) -> None:
        super().__init__()
        self.joint, self.k = joint, k
        self.event_shape, self.context_shape = torch.Size([joint.event_shape[0] - k]), torch.Size([k])

    @property
    def is_fitted(self) -> bool:
        """Whether the mixture is fitted."""
        return self.joint.is_fitted

    def fit(
        self, x: Float[Tensor, "n d"], *, given: Float[Tensor, "n k"], sample_weight: Float[Tensor, " n"] | None = None
    ) -> None:
        """Fit the mixture of (y, x) by EM.

        Raises:
            ContrastiveError: as `GaussianMixture.fit`, or if the contexts are not one for each row.
        """
        require_contexts(given, len(x), self.context_shape, "mixture")
        self.joint.fit(torch.cat([given.to(x), x], 1), sample_weight)

    def log_prob(self, value: Float[Tensor, "n d"], *, given: Float[Tensor, "n k"]) -> Float[Tensor, " n"]:
        """log q(value | given) in nats."""
        log_weights, means = self._given(given, len(value))
        standard = _solved(self._factors, value.to(means)[:, None, :] - means)
        log_density = _log_normal(standard, self._factors)
        return (log_weights + log_density).logsumexp(-1)

    @torch.no_grad()
    def sample(self, *, given: Float[Tensor, "n k"]) -> Float[Tensor, "n d"]:
        """One draw for each context."""
        log_weights, means = self._given(given, len(given))
        picked = torch.multinomial(log_weights.exp(), 1).squeeze(1) if len(given) else given.new_zeros(0).long()
        standard = torch.randn(len(given), self.event_shape.numel(), 1, dtype=means.dtype, device=means.device)
        rows = torch.arange(len(given), device=means.device)
        return means[rows, picked] + (self._factors[picked] @ standard).squeeze(-1)

    @property
    def _factors(self) -> Float[Tensor, "c d d"]:
        return self.joint.scale_trils[:, self.k :, self.k :]

    def _given(self, y: Float[Tensor, "n k"], rows: int) -> tuple[Float[Tensor, "n c"], Float[Tensor, "n c d"]]:
        """log w_k(y) and the mean of x in each component, from the component's position of y."""
        require_contexts(y, rows, self.context_shape, "mixture")
        joint, k = self.joint, self.k
        factors = joint.scale_trils[:, :k, :k]
        standard = _solved(factors, y.to(joint.locs)[:, None, :] - joint.locs[:, :k])
        log_weights = (joint.logits + _log_normal(standard, factors)).log_softmax(-1)
        shift = torch.einsum("cdk,nck->ncd", joint.scale_trils[:, k:, :k], standard)
        return log_weights, joint.locs[:, k:] + shift


def _solved(factors: Float[Tensor, "c d d"], differences: Float[Tensor, "n c d"]) -> Float[Tensor, "n c d"]:
    solved = torch.linalg.solve_triangular(factors, differences.permute(1, 2, 0), upper=False)
    return solved.permute(2, 0, 1)


def _log_normal(standard: Float[Tensor, "n c d"], factors: Float[Tensor, "c d d"]) -> Float[Tensor, "n c"]:
    log_det = factors.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    return -(standard.square() + math.log(2 * math.pi)).sum(-1) / 2 - log_det
