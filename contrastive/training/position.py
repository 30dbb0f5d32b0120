"""The position of a run: stage, step, best score."""

from dataclasses import dataclass, field


@dataclass
class Position:
    """Where a run is: stage, step within it, updates so far, and the best state for early stopping."""

    stage: int = 0
    step: int = 0  # within the stage
    updates: int = 0  # in all stages
    batches: int = 0  # drawn from the stream
    seconds: float = 0.0
    best_score: float = -float("inf")  # within the stage, as the three below
    best_updates: int = 0  # where it was reached
    evaluations_since_best: int = 0
    stopped_early: bool = False
    moves: dict[str, int] = field(default_factory=lambda: {"energy": 0, "noise": 0})
