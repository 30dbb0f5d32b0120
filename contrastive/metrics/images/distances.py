"""Frechet and kernel distances between image sets."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from contrastive.errors import ContrastiveError
from contrastive.metrics.images.cache import cached_summary
from contrastive.metrics.images.embeddings import EmbeddingNetwork, Images, make_network
from contrastive.metrics.images.frechet import frechet_distance
from contrastive.metrics.images.inception import Inception
from contrastive.metrics.images.kernel import kernel_distance
from contrastive.metrics.images.summary import summarize


def image_distances(
    samples: Images,
    reference: Images,
    network: str | EmbeddingNetwork = "efficientnet-lite0",
    *,
    limit: int | None = 50_000,
    device: str | torch.device = "cpu",
    weights: str | Path | None = None,
    cache: str | Path | None = None,
    progress: bool = False,
) -> dict[str, float]:
    """Frechet and kernel distance between two sets of images: lower is nearer.

    Args:
        samples: uint8 images, shape `(n, 3, h, w)` or `(n, 1, h, w)`, or an iterable of such batches.
        reference: the data, likewise.
        network: `efficientnet-lite0`; `inception` for FID; or a network of your own.
        limit: how many images of each at most; None for all. Of a tensor a random subset, of an iterable the beginning.
        device: where a network given by name runs.
        weights: InceptionV3's file of weights, if it is not in torch hub's cache.
        cache: a folder that keeps what was computed of a reference given as a tensor, `default_cache()` say.
        progress: show a bar, on a terminal.

    Returns:
        `fd_<network>`, `kd_<network>`, `kd_<network>_standard_error`, and how many images they rest on: `images`,
        `reference_images`. With InceptionV3, and with nothing else, they are called `fid`, `kid`, `kid_standard_error`.
        The Frechet distance falls with n, so compare at equal n; the kernel distance does not depend on it, and is
        taken over 10,000 of the images at most.

    Raises:
        ContrastiveError: if these are no uint8 images, or too few, the extra `images` is not installed, or weights are
            missing.

    Example:
        >>> images = torch.randint(256, (20, 3, 32, 32), dtype=torch.uint8)
        >>> distances = image_distances(images, images)
        >>> f"{distances['fd_efficientnet_lite0']:.3f}", distances["images"]
        ('0.000', 20)
    """
    if isinstance(network, str):
        network = make_network(network, device=device, weights=weights)
    if cache is None:
        of_reference = summarize(reference, network, limit=limit, progress=progress)
    elif isinstance(reference, Tensor | np.ndarray):
        of_reference = cached_summary(reference, network, cache, limit=limit, progress=progress)
    else:
        raise ContrastiveError("only a reference given as one tensor or array can be cached: its pixels are the key")
    of_samples = summarize(samples, network, limit=limit, progress=progress)
    is_inception = isinstance(network, Inception)
    fd, kd = ("fid", "kid") if is_inception else (f"fd_{network.name}", f"kd_{network.name}")
    kernel = kernel_distance(of_samples.embeddings, of_reference.embeddings)
    return {
        fd: frechet_distance(of_samples.moments, of_reference.moments),
        kd: kernel.value,
        f"{kd}_standard_error": kernel.standard_error,
        "images": of_samples.moments.count,
        "reference_images": of_reference.moments.count,
    }
