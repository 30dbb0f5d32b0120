"""What a run reports of itself."""

from contrastive.metrics.classification import classification
from contrastive.metrics.evaluation import evaluate, noise_quality, noise_warning
from contrastive.metrics.partition import mean_log_prob, partition_figures

__all__ = ["classification", "evaluate", "mean_log_prob", "noise_quality", "noise_warning", "partition_figures"]
