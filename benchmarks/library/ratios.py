"""Log-ratios of Gaussians against the known ones, and mutual information up to 10 nats.

    python -m benchmarks.library.ratios            # 1 to 50 columns, 10 seeds; about 8 minutes of two cores
    python -m benchmarks.library.ratios --dims 2 10 --seeds 3
    python -m benchmarks.library.ratios --quick

A = N(m, 0.64 I) with |m| = 1 and B = N(0, I), 2,000 rows of each: the error of the log-ratio at fresh rows of both,
that of KL(A || B), and how often the interval holds it. Beside it uLSIF (where `pip install densratio` was run) and
logistic regression on quadratic features, which has the right family. Then mutual information of two vectors of 5
columns, 10,000 rows: the default, telescoping, the estimator of Kraskov et al., and bounds of torch-mist where that is
installed (it asks for numpy < 2 but works beside a newer one: `pip install --no-deps torch-mist pyro-ppl pyro-api`).
"""

import json
import math
import time
from importlib.util import find_spec
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from benchmarks.lib.grid import benchmark_parser, provenance, run_all
from benchmarks.lib.ratio_rivals import (
    correlated,
    has_ulsif,
    known_kl,
    known_log_ratio,
    ksg,
    logistic_regression,
    two_gaussians,
    ulsif,
)

_FRESH = 2_000
_LEVEL = 0.95
_COLUMNS = 5
MIST = ("nwj", "smile", "infonce")
COLORS = {"nce": "#0072B2", "uLSIF": "#D55E00", "logistic": "#009E73", "telescoping": "#CC79A7", "KSG": "#555555"}


def main() -> None:
    """Fit everything, print the tables, write table and plot."""
    parser = benchmark_parser(__doc__, "ratios", quick="1 column, 1 seed, few rows and updates, no results kept")
    parser.add_argument("--dims", type=int, nargs="+", default=[1, 2, 5, 10, 20, 50])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--rival-seeds", type=int, default=3, help="of the rivals [3]")
    parser.add_argument("--rows", type=int, default=2_000, help="of each sample [2000]")
    parser.add_argument("--information", type=float, nargs="+", default=[1, 2, 5, 10], help="nats [1 2 5 10]")
    parser.add_argument("--pairs", type=int, default=10_000, help="of vectors, for mutual information [10000]")
    arguments = parser.parse_args()
    steps = None
    if arguments.quick:
        arguments.dims, arguments.seeds, arguments.rows, arguments.results = [1], 1, 200, arguments.out
        arguments.information, arguments.pairs, arguments.jobs, steps = [0.5], 200, 1, 20
    rivals = ["nce", "logistic", *(["uLSIF"] if has_ulsif() else [])]
    calls = [
        (name, d, arguments.rows, seed, steps)
        for d in arguments.dims
        for name in rivals
        for seed in range(arguments.seeds if name == "nce" else min(arguments.seeds, arguments.rival_seeds))
    ]
    ratios = summarized(run_all(one_ratio, calls, arguments.jobs, name="ratios"))
    estimators = ["nce", "telescoping", "KSG", *(MIST if find_spec("torch_mist") and not arguments.quick else ())]
    pairs = [(name, nats, arguments.pairs, steps) for nats in arguments.information for name in estimators]
    information = run_all(one_information, pairs, arguments.jobs, name="mutual information")
    print(table(ratios, information))
    arguments.results.mkdir(parents=True, exist_ok=True)
    content = {**provenance(), "rows": arguments.rows, "pairs": arguments.pairs, "level": _LEVEL}
    content |= {"ratios": ratios, "mutual_information": information}
    (arguments.results / "ratios.json").write_text(json.dumps(content, indent=2) + "\n")
    figure(ratios, information).savefig(arguments.results / "ratios.png", dpi=130)


def one_ratio(name: str, d: int, rows: int, seed: int, steps: int | None) -> dict[str, Any]:
    """One method on one pair of samples."""
    a, b = two_gaussians(d, rows, seed)
    fresh = two_gaussians(d, _FRESH, 1_000 + seed)
    started = time.monotonic()
    if name == "nce":
        from contrastive import fit_ratio

        estimate = fit_ratio(a, b, quiet=True, seed=seed, steps=steps, level=_LEVEL)
        found = [estimate.log_ratio(x).numpy() for x in fresh]
        kl = estimate.kl.value
        holds: bool | None = estimate.kl.low <= known_kl(d) <= estimate.kl.high
        below: bool | None = estimate.kl.low <= known_kl(d)
    else:
        answers = (ulsif if name == "uLSIF" else logistic_regression)(a, b, np.concatenate([*fresh, a]))
        found, kl = [answers[:_FRESH], answers[_FRESH : 2 * _FRESH]], float(answers[2 * _FRESH :].mean())
        holds = below = None
    errors = [float(np.mean((log_ratio - known_log_ratio(x)) ** 2)) for log_ratio, x in zip(found, fresh)]
    return {
        **{"method": name, "dim": d, "seed": seed, "rmse_a": math.sqrt(errors[0]), "rmse_b": math.sqrt(errors[1])},
        **{"kl": kl, "holds": holds, "low_is_below": below, "seconds": time.monotonic() - started},
    }


def summarized(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Means over the seeds, one row a method and dimension."""
    made = []
    for d, name in dict.fromkeys((row["dim"], row["method"]) for row in rows):
        own = [row for row in rows if (row["dim"], row["method"]) == (d, name)]
        kl = np.array([row["kl"] for row in own])
        means = {key: float(np.mean([row[key] for row in own])) for key in ("rmse_a", "rmse_b", "seconds")}
        counts = {
            key: None if name != "nce" else int(sum(row[key] for row in own)) for key in ("holds", "low_is_below")
        }
        bias, spread = float(kl.mean() - known_kl(d)), float(kl.std())
        figures = {"kl_known": known_kl(d), "kl_bias": bias, "kl_spread": spread, **means, **counts}
        made.append({"dim": d, "method": name, "seeds": len(own), **figures})
    return made


def one_information(name: str, nats: float, pairs: int, steps: int | None) -> dict[str, Any]:
    """One estimate of a known mutual information."""
    x, y = correlated(_COLUMNS, nats, pairs, seed=0)
    started = time.monotonic()
    low: float | None = None
    high: float | None = None
    warning = ""
    if name == "KSG":
        value = ksg(x, y)
    elif name in MIST:
        value = _mist(name, x, y)
    else:
        from contrastive import mutual_information

        found = mutual_information(x, y, objective=name, quiet=True, steps=steps, level=_LEVEL)
        value, low, high, warning = found.value, found.low, found.high, found.warning
    figures = {"value": value, "low": low, "high": high, "warning": warning, "seconds": time.monotonic() - started}
    return {"method": name, "known": nats, **figures}


def _mist(name: str, x: np.ndarray, y: np.ndarray) -> float:
    from torch_mist import estimate_mi

    data = {"x": x.astype(np.float32), "y": y.astype(np.float32)}
    found = estimate_mi(data=data, estimator=name, max_iterations=5_000, verbose=False, return_log=False)
    return float(found[0] if isinstance(found, tuple) else found)


def table(ratios: list[dict[str, Any]], information: list[dict[str, Any]]) -> str:
    """Both tables, for a terminal."""
    head = "  d  method      RMSE at A   at B   KL known     bias   spread   interval holds  low is below    s"
    lines = [f"{head:>5}"]
    for row in ratios:
        shares = ["-" if row[key] is None else f"{row[key]} of {row['seeds']}" for key in ("holds", "low_is_below")]
        lines.append(
            f"{row['dim']:3}  {row['method']:10} {row['rmse_a']:9.3f} {row['rmse_b']:7.3f} {row['kl_known']:9.3f} "
            f"{row['kl_bias']:+9.3f} {row['kl_spread']:7.3f} {shares[0]:>15} {shares[1]:>13} {row['seconds']:5.1f}"
        )
    lines += ["", "mutual information, nats (* too few effective pairs)"]
    for row in information:
        interval = "" if row["low"] is None else f"  {row['low']:.2f} to {row['high']:.2f}{'*' * bool(row['warning'])}"
        lines.append(f"{row['known']:5g}  {row['method']:12} {row['value']:7.3f}{interval}  ({row['seconds']:.0f} s)")
    return "\n".join(lines)


def figure(ratios: list[dict[str, Any]], information: list[dict[str, Any]]) -> Figure:
    """Error of the log-ratio over the dimension, and mutual information over the known one."""
    plot = Figure(figsize=(9.5, 4.2), layout="constrained")
    left, right = plot.subplots(1, 2)
    for name in dict.fromkeys(row["method"] for row in ratios):
        own = [row for row in ratios if row["method"] == name]
        left.plot([r["dim"] for r in own], [r["rmse_a"] for r in own], "o-", color=COLORS[name], label=name, ms=4)
    left.set(xscale="log", yscale="log", xlabel="columns", title="RMSE of the log-ratio at fresh rows of A, nats")
    for name in dict.fromkeys(row["method"] for row in information):
        own = [row for row in information if row["method"] == name]
        style = {"color": COLORS[name]} if name in COLORS else {"linestyle": "--"}
        right.plot([r["known"] for r in own], [r["value"] for r in own], marker="o", ms=4, label=name, **style)
    known = [row["known"] for row in information]
    right.plot([0, max(known)], [0, max(known)], color="gray", linestyle=":", linewidth=1)
    right.set(xlabel="known mutual information, nats", title="mutual information, nats")
    for panel in (left, right):
        panel.legend(frameon=False, fontsize=8)
        panel.grid(alpha=0.25)
    return plot


if __name__ == "__main__":
    main()
