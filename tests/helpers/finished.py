"""A finished run without a directory, as the figures and the report take it."""

from pathlib import Path

import torch

from contrastive import fit, make_density
from contrastive.plots import FinishedRun

LINES = [
    {"stage": "pretrain", "step": 50, "updates": 50, "test_log_prob_noise": -3.0},
    {"stage": "contrast", "step": 50, "updates": 100, "value": -1.2, "accuracy": 0.7, "test_log_prob_energy": -2.0},
    {"stage": "contrast", "step": 99, "updates": 149, "value": None, "accuracy": 0.6, "test_log_prob_energy": -1.9},
]


def finished(d, columns=None):
    torch.manual_seed(0)
    x = torch.randn(200, d) @ torch.randn(d, d)
    summary = {
        "data": f"table{d}.csv", "method": "nce", "noise": "gaussian", "pretrain_steps": 50, "steps": 99,
        "noise_ratio": 1.0, "test_rows": 20, "test_log_prob_energy": -1.9, "test_log_prob_noise": -3.0,
        "log_normalizer": [0.5, 0.25], "steps_energy": 99, "steps_noise": 0, "value": None,
    }  # fmt: skip
    estimator = fit(x, steps=3, quiet=True)
    truth = make_density("moons") if d == 2 else None
    names = columns or [f"x{i}" for i in range(d)]
    return FinishedRun(Path("runs/a"), estimator, summary, LINES, {"steps": 99}, x.double(), truth, names)
