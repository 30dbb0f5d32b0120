"""`make demo`: 8 Gaussians by FCE and by Gaussian NCE, a real table by two noises, one report. About 3 minutes."""

import argparse
import sys
import time
from pathlib import Path

from sklearn.datasets import load_breast_cancer

from benchmarks.lib.grid import run_grid
from contrastive.cli import plot

_GLOW = {"noise": "glow", "noise_options": {"depth": 6, "width": 64}}


def main() -> None:
    """Fit, and say where the report is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/demo"), help="where the runs go [runs/demo]")
    parser.add_argument("--quick", action="store_true", help="few steps: does it run?")
    arguments = parser.parse_args()
    quick = arguments.quick
    arguments.out.mkdir(parents=True, exist_ok=True)

    table = arguments.out / "breast-cancer.csv"
    load_breast_cancer(as_frame=True).data.to_csv(table, index=False)
    plane = {"data": "8gaussians", "steps": 60 if quick else 5000}
    columns = {
        "data": str(table),
        "batch_size": 128,
        "steps": 60 if quick else 2000,
        "early_stopping": 5,
        # Some 450 rows are too few to learn log q over 30 columns; what the noise lacks is less. The bound keeps the
        # weights' variance, and so a log Z that can be estimated.
        "energy": "tilted",
        "energy_options": {"bound": 3.0, "widths": [64, 64]},
    }
    started = time.monotonic()
    print("fitting 8 Gaussians (FCE with Glow, Gaussian NCE) and the breast-cancer table; this takes about 3 minutes")
    results = run_grid(
        [
            ("8gaussians-fce-glow", {**plane, **_GLOW, "method": "fce", "pretrain_steps": 20 if quick else 1000}),
            ("8gaussians-nce-gaussian", {**plane, "noise": "gaussian"}),
            ("breast-cancer-nce-student-t", {**columns, "noise": "student-t"}),
            ("breast-cancer-nce-glow", {**columns, **_GLOW, "pretrain_steps": 20 if quick else 300}),
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
    plot.run(runs=[str(result.path) for result in results], out=str(arguments.out / "report.html"))
    print(f"{time.monotonic() - started:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
