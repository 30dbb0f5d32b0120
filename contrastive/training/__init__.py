"""The loop around the estimator: schedules, optimisers, moving averages, checkpoints, resuming."""
