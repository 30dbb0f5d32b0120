"""What a run reports of itself."""

from contrastive.metrics.evaluation import evaluate, mean_log_prob

__all__ = ["evaluate", "mean_log_prob"]
