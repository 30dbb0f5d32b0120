"""Mean and covariance of a stream of embeddings, and a random few of the vectors themselves."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from contrastive.errors import ContrastiveError


@dataclass(frozen=True)
class EmbeddingMoments:
    """First two moments of embeddings, float64.

    Attributes:
        count: how many vectors.
        mean: their mean.
        scatter: sum of (x - mean)(x - mean)^T.

    Example:
        >>> x = torch.randn(100, 3)
        >>> both = EmbeddingMoments.of(x[:30]).merged(EmbeddingMoments.of(x[30:]))
        >>> torch.allclose(both.covariance, x.double().T.cov())
        True
    """

    count: int
    mean: Float[Tensor, " d"]
    scatter: Float[Tensor, "d d"]

    @classmethod
    def of(cls, embeddings: Float[Tensor, "n d"]) -> "EmbeddingMoments":
        """The moments of one batch.

        Raises:
            ContrastiveError: if an embedding is not finite.
        """
        x = embeddings.double().cpu()
        if not bool(x.isfinite().all()):
            raise ContrastiveError("an embedding is not finite: the network overflowed, or its weights are damaged")
        mean = x.mean(0)
        return cls(len(x), mean, (x - mean).T @ (x - mean))

    def merged(self, other: "EmbeddingMoments") -> "EmbeddingMoments":
        """The moments of both sets together, with no cancellation between large numbers.

        Reference: Chan, Golub & LeVeque (1983), "Algorithms for computing the sample variance", equation 2.1.
        """
        count = self.count + other.count
        gap = other.mean - self.mean
        scatter = self.scatter + other.scatter + torch.outer(gap, gap) * (self.count * other.count / count)
        return EmbeddingMoments(count, self.mean + gap * (other.count / count), scatter)

    @property
    def covariance(self) -> Float[Tensor, "d d"]:
        """Unbiased covariance (divisor n - 1).

        Raises:
            ContrastiveError: with fewer than two vectors.
        """
        if self.count < 2:
            raise ContrastiveError(f"a covariance needs two images at least, not {self.count}")
        return self.scatter / (self.count - 1)


class RandomRows:
    """A uniformly random subset of a stream's rows, in random order.

    Each row draws a key; those of the smallest keys stay, in the order of their keys.

    Args:
        size: how many rows to keep.
        seed: of the keys.
    """

    def __init__(self, size: int, seed: int = 0) -> None:
        self._size = size
        self._generator = torch.Generator().manual_seed(seed)
        self._keys = torch.empty(0, dtype=torch.float64)
        self.rows: Tensor = torch.empty(0)

    def add(self, rows: Float[Tensor, "n d"]) -> None:
        """Some more rows of the stream."""
        keys = torch.cat([self._keys, torch.rand(len(rows), dtype=torch.float64, generator=self._generator)])
        order = keys.argsort()[: self._size]
        self._keys = keys[order]
        self.rows = torch.cat([self.rows.reshape(-1, rows.shape[1]), rows.cpu()])[order]
