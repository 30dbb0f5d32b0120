"""Feature moments and a sample of features of an image set."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from contrastive.errors import ContrastiveError
from contrastive.metrics.images.features import FeatureNetwork, Images, image_batches
from contrastive.metrics.images.moments import FeatureMoments, RandomRows

_KERNEL_ROWS = 10_000
_SEED = 0


@dataclass(frozen=True)
class FeatureSummary:
    """All that the distances need.

    Attributes:
        moments: of every image.
        features: of 10,000 of the images (all, if there are fewer), drawn at random, float32.
    """

    moments: FeatureMoments
    features: Float[Tensor, "n d"]


def summarize(
    images: Images, network: FeatureNetwork, *, limit: int | None = 50_000, progress: bool = False
) -> FeatureSummary:
    """Run the network over images, batch by batch.

    Args:
        images: of a tensor with more rows than `limit` a random subset is taken, of a stream of batches the beginning.
        network: whose features.
        limit: how many images at most; None for all.
        progress: show a bar, on a terminal.

    Raises:
        ContrastiveError: if they are not uint8 images, are none, or a feature is not finite.
    """
    moments, kept = None, RandomRows(_KERNEL_ROWS, _SEED)
    images = subset(images, limit)
    total = len(images) if isinstance(images, Tensor | np.ndarray) else limit
    with tqdm(total=total, desc=network.name, unit="image", leave=False, disable=None if progress else True) as bar:
        for batch in _up_to(limit, image_batches(images)):
            features = network(batch).float().cpu()
            of_batch = FeatureMoments.of(features)
            moments = of_batch if moments is None else moments.merged(of_batch)
            kept.add(features)
            bar.update(len(batch))
    if moments is None:
        raise ContrastiveError("there are no images to measure")
    return FeatureSummary(moments, kept.rows)


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
