"""Measures of generated images: Frechet and kernel distances in embedding space, nearest training images."""

from typing import Any

from contrastive.errors import warn_renamed
from contrastive.metrics.images.cache import cached_summary, default_cache
from contrastive.metrics.images.distances import image_distances
from contrastive.metrics.images.embeddings import EmbeddingNetwork, embed, make_network
from contrastive.metrics.images.frechet import frechet_bias, frechet_distance
from contrastive.metrics.images.kernel import KernelDistance, kernel_distance
from contrastive.metrics.images.moments import EmbeddingMoments
from contrastive.metrics.images.neighbours import Neighbours, nearest_neighbours
from contrastive.metrics.images.summary import EmbeddingSummary, summarize

__all__ = [
    "EmbeddingMoments",
    "EmbeddingNetwork",
    "EmbeddingSummary",
    "KernelDistance",
    "Neighbours",
    "cached_summary",
    "default_cache",
    "embed",
    "frechet_bias",
    "frechet_distance",
    "image_distances",
    "kernel_distance",
    "make_network",
    "nearest_neighbours",
    "summarize",
]

#: Names of version 0.1 before the package had its present form; they go with the next version.
_RENAMED = {
    "FeatureMoments": "EmbeddingMoments",
    "FeatureNetwork": "EmbeddingNetwork",
    "FeatureSummary": "EmbeddingSummary",
    "extract_features": "embed",
}


def __getattr__(name: str) -> Any:
    if name not in _RENAMED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warn_renamed(f"{__name__}.{name}", _RENAMED[name])
    return globals()[_RENAMED[name]]
