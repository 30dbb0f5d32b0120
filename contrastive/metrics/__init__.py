"""What a run reports of itself."""

from contrastive.metrics.evaluation import evaluate

__all__ = ["evaluate"]
