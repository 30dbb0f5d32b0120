"""What a run reports of itself."""

from contrastive.metrics.evaluation import evaluate
from contrastive.metrics.partition import mean_log_prob, partition_figures

__all__ = ["evaluate", "mean_log_prob", "partition_figures"]
