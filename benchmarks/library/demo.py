"""`make demo`: 8 Gaussians by FCE and by Gaussian NCE, a real table by the default, one report. About 3 minutes."""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.datasets import load_breast_cancer

import contrastive
from benchmarks.lib.density_rivals import fit_rival
from benchmarks.lib.grid import Result, run_grid
from benchmarks.lib.real_tables import split_table
from benchmarks.lib.table_units import upper_log_probs
from contrastive.cli import plot
from contrastive.numerics.statistics import mean_with_error

_GLOW = {"noise": "glow", "noise_options": {"depth": 6, "width": 64}}


def main() -> None:
    """Fit, and say where the report is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/demo"), help="where the runs go [runs/demo]")
    parser.add_argument("--quick", action="store_true", help="few steps: does it run?")
    arguments = parser.parse_args()
    quick = arguments.quick
    arguments.out.mkdir(parents=True, exist_ok=True)

    frame, table = load_breast_cancer(as_frame=True).data, arguments.out / "breast-cancer.csv"
    frame.to_csv(table, index=False)
    plane = {"data": "8gaussians", "steps": 60 if quick else 5000}
    default = {"noise": "gaussian", "energy": "tilted", "steps": 60} if quick else {}
    started = time.monotonic()
    print("fitting 8 Gaussians (FCE with Glow, Gaussian NCE) and the breast-cancer table; this takes about 3 minutes")
    results = run_grid(
        [
            ("8gaussians-fce-glow", {**plane, **_GLOW, "method": "fce", "pretrain_steps": 20 if quick else 1000}),
            ("8gaussians-nce-gaussian", {**plane, "noise": "gaussian"}),
            ("breast-cancer-default", {"data": str(table), **default}),
        ],
        arguments.out,
        jobs=2,
    )
    for result in results:
        s = result.summary
        error = "" if "mse_log_prob_energy" not in s else f"  error of log p {s['mse_log_prob_energy']:.4f}"
        print(
            f"{result.label:30} log p {s['test_log_prob_energy']:9.3f}  log q {s['test_log_prob_noise']:9.3f}"
            f"  c {s['log_normalizer']:7.3f}{error}"
        )
    print(against_a_mixture(frame, results[-1]))
    plot.run(runs=[str(result.path) for result in results], out=str(arguments.out / "report.html"))
    print(f"{time.monotonic() - started:.0f} s", file=sys.stderr)


def against_a_mixture(frame: pd.DataFrame, result: Result) -> str:
    """How far a run is ahead of scikit-learn's mixture on the rows that it held out, in a sentence."""
    split, estimator = split_table(frame, seed=0), contrastive.load(result.path)
    # By the upper end of log Z's interval, so that no luck of it counts.
    log_p = np.array(upper_log_probs(estimator, split.test)["log_prob"])
    log_mixture = fit_rival("mixture-bic", split.fitting)(split.test.double().numpy())
    gain, error = mean_with_error(torch.from_numpy(log_p - log_mixture))
    return (
        f"the table, {len(log_p)} held-out rows: {gain:+.2f} +- {error:.2f} nats a row to a GaussianMixture by BIC "
        "on the same rows"
    )


if __name__ == "__main__":
    main()
