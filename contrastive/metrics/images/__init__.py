"""Measures of generated images: Frechet and kernel distances in feature space, nearest training images."""

from contrastive.metrics.images.cache import cached_summary, default_cache
from contrastive.metrics.images.distances import image_distances
from contrastive.metrics.images.features import FeatureNetwork, extract_features, make_network
from contrastive.metrics.images.frechet import frechet_bias, frechet_distance
from contrastive.metrics.images.kernel import KernelDistance, kernel_distance
from contrastive.metrics.images.moments import FeatureMoments
from contrastive.metrics.images.neighbours import Neighbours, nearest_neighbours
from contrastive.metrics.images.summary import FeatureSummary, summarize

__all__ = [
    "FeatureMoments",
    "FeatureNetwork",
    "FeatureSummary",
    "KernelDistance",
    "Neighbours",
    "cached_summary",
    "default_cache",
    "extract_features",
    "frechet_bias",
    "frechet_distance",
    "image_distances",
    "kernel_distance",
    "make_network",
    "nearest_neighbours",
    "summarize",
]
