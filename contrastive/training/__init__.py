"""The loop around the estimator: schedules, optimisers, moving averages, checkpoints, resuming."""

from contrastive.training.api import fit, fit_estimator, load

__all__ = ["fit", "fit_estimator", "load"]
