"""Moments and a sample of the embeddings of an image set."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from contrastive.errors import ContrastiveError, warn_renamed
from contrastive.metrics.images.embeddings import EmbeddingNetwork, Images, image_batches
from contrastive.metrics.images.moments import EmbeddingMoments, RandomRows

_KERNEL_ROWS = 10_000
_SEED = 0


@dataclass(frozen=True)
class EmbeddingSummary:
    """All that the distances need.

    Attributes:
        moments: of every image.
        embeddings: of 10,000 of the images (all, if there are fewer), drawn at random, float32.
    """

    moments: EmbeddingMoments
    embeddings: Float[Tensor, "n d"]

    @property
    def features(self) -> Float[Tensor, "n d"]:
        """Deprecated: `embeddings`."""
        warn_renamed("the attribute features", "embeddings")
        return self.embeddings


def summarize(
    images: Images, network: EmbeddingNetwork, *, limit: int | None = 50_000, progress: bool = False
) -> EmbeddingSummary:
    """Run the network over images, batch by batch.

    Args:
        images: of a tensor with more rows than `limit` a random subset is taken, of a stream of batches the beginning.
        network: whose embeddings.
        limit: how many images at most; None for all.
        progress: show a bar, on a terminal.

    Raises:
        ContrastiveError: if they are not uint8 images, are none, or an embedding is not finite.
    """
    moments, kept = None, RandomRows(_KERNEL_ROWS, _SEED)
    images = subset(images, limit)
    total = len(images) if isinstance(images, Tensor | np.ndarray) else limit
    with tqdm(total=total, desc=network.name, unit="image", leave=False, disable=None if progress else True) as bar:
        for batch in _up_to(limit, image_batches(images)):
            embeddings = network(batch).float().cpu()
            of_batch = EmbeddingMoments.of(embeddings)
            moments = of_batch if moments is None else moments.merged(of_batch)
            kept.add(embeddings)
            bar.update(len(batch))
    if moments is None:
        raise ContrastiveError("there are no images to measure")
    return EmbeddingSummary(moments, kept.rows)


def subset(images: Images, limit: int | None) -> Images:
    """The images, or a random `limit` of them in their order; a stream of batches as it is."""
    if limit is None or not isinstance(images, Tensor | np.ndarray) or len(images) <= limit:
        return images
    rows = torch.randperm(len(images), generator=torch.Generator().manual_seed(_SEED))[:limit]
    return torch.as_tensor(images)[rows.sort().values]


def _up_to(limit: int | None, batches: Iterator[Tensor]) -> Iterator[Tensor]:
    left = limit
    for batch in batches:
        yield batch[:left]
        if left is not None and (left := left - len(batch)) <= 0:
            return
