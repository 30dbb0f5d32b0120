"""Metrics of a fitted estimator."""

from contrastive.metrics.bits import bits_per_dim
from contrastive.metrics.classification import classification
from contrastive.metrics.evaluation import (
    evaluate,
    evaluate_training,
    held_out_values,
    log_densities,
    noise_quality,
    noise_spread,
    noise_warning,
)
from contrastive.metrics.goodness import Goodness, goodness_of_fit
from contrastive.metrics.model_samples import independent_samples, quick_samples
from contrastive.metrics.partition import log_prob_given, mean_log_prob, normalized_figures, partition_figures
from contrastive.metrics.scoring import entry_gains, hdr_level, row_log_probs

__all__ = [
    "Goodness",
    "bits_per_dim",
    "classification",
    "entry_gains",
    "evaluate",
    "evaluate_training",
    "goodness_of_fit",
    "hdr_level",
    "held_out_values",
    "independent_samples",
    "log_densities",
    "log_prob_given",
    "mean_log_prob",
    "noise_quality",
    "noise_spread",
    "noise_warning",
    "normalized_figures",
    "partition_figures",
    "quick_samples",
    "row_log_probs",
]
