"""Which flow for several modes? Maximum likelihood on a product of two-mode mixtures, and what a score and a draw cost.

    python -m benchmarks.library.flows
    python -m benchmarks.library.flows --only nsf glow
    python -m benchmarks.library.flows --quick

The density is a product over 16 coordinates of (N(-1, 1/16) + N(1, 1/16)) / 2, so that log p is known. Every flow
takes the same number of Adam steps (1e-3, falling to 0 by a cosine) on fresh batches; the figure is
KL(p, q) = E_p[log p - log q] on held-out draws, with its standard error. Kept: `results/flows.json` and `.png`.
"""

import argparse
import json
import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib
import normflows
import torch
from torch import Tensor, nn
from tqdm import tqdm

from benchmarks.lib.grid import RESULTS, provenance
from benchmarks.lib.mixtures import product_of_mixtures
from contrastive import make_noise
from contrastive.protocols import FittableNoise, prepare_noise, trainable_parameters

matplotlib.use("Agg")
from matplotlib import pyplot as plt

DIM = 16


class Normflows(nn.Module):
    """A flow of normflows' as a noise."""

    def __init__(self, flows: list[nn.Module]) -> None:
        super().__init__()
        self.flow = normflows.NormalizingFlow(normflows.distributions.DiagGaussian(DIM, trainable=False), flows)
        self.event_shape = torch.Size([DIM])

    def log_prob(self, value: Tensor) -> Tensor:
        """log q, nats."""
        return self.flow.log_prob(value)

    def sample(self, sample_shape: torch.Size) -> Tensor:
        """Draws."""
        return self.flow.sample(sample_shape.numel())[0]


def normflows_autoregressive(transforms: int, bins: int) -> Normflows:
    """Autoregressive splines with permutations between, two residual blocks each."""
    spline = normflows.flows.AutoregressiveRationalQuadraticSpline
    layers: list[nn.Module] = []
    for i in range(transforms):
        layers += [spline(DIM, 2, 64, num_bins=bins, tail_bound=5)] + [normflows.flows.LULinearPermute(DIM)] * (i > 0)
    return Normflows(layers)


def normflows_coupling(transforms: int, bins: int) -> Normflows:
    """Coupled splines, the halves by turns, two residual blocks each."""
    spline = normflows.flows.CoupledRationalQuadraticSpline
    return Normflows(
        [spline(DIM, 2, 64, num_bins=bins, tail_bound=5, reverse_mask=bool(i % 2)) for i in range(transforms)]
    )


def noise(name: str, **options: Any) -> Callable[[], Any]:
    """A factory of a registered noise."""
    return partial(make_noise, name, event_shape=(DIM,), **options)


FLOWS: dict[str, Callable[[], Any]] = {
    "gaussian": noise("gaussian"),
    "maf": noise("maf"),
    "nsf, 8 bins, 1 transform": noise("nsf", bins=8, transforms=1),
    "nsf, 16 bins, 1 transform": noise("nsf", bins=16, transforms=1),
    "nsf, 8 bins, 2 transforms": noise("nsf", bins=8, transforms=2),
    "nsf coupling, 8 bins, 2 transforms": noise("nsf", bins=8, transforms=2, structure="coupling"),
    "normflows autoregressive, 8 bins, 1 transform": partial(normflows_autoregressive, 1, 8),
    "normflows coupling, 8 bins, 2 transforms": partial(normflows_coupling, 2, 8),
    "glow affine, depth 4": noise("glow", depth=4, width=64),
    "glow spline, depth 4": noise("glow", depth=4, width=64, coupling="spline"),
    "nsf, 8 bins, 3 transforms": noise("nsf", bins=8, transforms=3),
    "nsf, 16 bins, 2 transforms": noise("nsf", bins=16, transforms=2),
    "nsf, 16 bins, 3 transforms": noise("nsf", bins=16, transforms=3),
    "nsf coupling, 8 bins, 4 transforms": noise("nsf", bins=8, transforms=4, structure="coupling"),
    "normflows autoregressive, 8 bins, 2 transforms": partial(normflows_autoregressive, 2, 8),
}


def main() -> None:
    """Fit each flow, measure, write the table and the plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[""], help="flows whose label begins with one of these")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--batch-size", type=int, default=1000, help="[1000]")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--quick", action="store_true", help="5 steps; no results kept unless --out is given")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.quick:
        arguments.steps, arguments.batch_size = 5, 50
        if arguments.out == parser.get_default("out"):
            arguments.out = Path("runs/flows")
    settings = {"steps": arguments.steps, "batch_size": arguments.batch_size, "seed": arguments.seed}
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "flows.json"
    rows, source = kept(path, settings), provenance()
    for label in FLOWS:
        if label not in rows and label.startswith(tuple(arguments.only)):
            rows[label] = {**measure(label, **settings), "commit": source["commit"]}
            path.write_text(json.dumps({**source, **settings, "rows": rows}, indent=2) + "\n")
            plot(rows, arguments.out / "flows.png")
        if label in rows:
            print(line(label, rows[label]), flush=True)


def kept(path: Path, settings: dict[str, int]) -> dict[str, Any]:
    """Rows of an earlier run with the same settings, which is gone on with."""
    if not path.exists():
        return {}
    earlier = json.loads(path.read_text())
    return earlier["rows"] if settings.items() <= earlier.items() else {}


def measure(label: str, steps: int, batch_size: int, seed: int) -> dict[str, Any]:
    """Fit one flow by maximum likelihood; its held-out KL, and seconds of one core."""
    torch.manual_seed(seed)
    truth, model = product_of_mixtures(DIM), FLOWS[label]()
    prepare_noise(model, truth.sample((20_000,)))
    started = time.process_time()
    if not isinstance(model, FittableNoise):
        optimizer = torch.optim.Adam(trainable_parameters(model), 1e-3)
        decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for _ in tqdm(range(steps), desc=label, leave=False, disable=None):
            optimizer.zero_grad()
            (-model.log_prob(truth.sample((batch_size,))).mean()).backward()
            optimizer.step()
            decay.step()
    seconds = time.process_time() - started
    with torch.no_grad():
        x = truth.sample((20 * batch_size,))
        excess = torch.cat([truth.log_prob(part) - model.log_prob(part) for part in x.split(1000)])
        score = least_seconds(lambda: model.log_prob(x[:batch_size]))
        draw = least_seconds(lambda: model.sample(torch.Size([batch_size])))
    return {
        "kl": float(excess.mean()),
        "kl_error": float(excess.std()) / math.sqrt(len(excess)),
        "parameters": sum(p.numel() for p in trainable_parameters(model)),
        "seconds": seconds,
        "seconds_score": score,
        "seconds_draw": draw,
    }


def least_seconds(call: Callable[[], Any], times: int = 3) -> float:
    """Of a few calls, the quickest."""
    seconds = []
    for _ in range(times):
        started = time.process_time()
        call()
        seconds.append(time.process_time() - started)
    return min(seconds)


def line(label: str, row: dict[str, Any]) -> str:
    """A row of the table."""
    return (
        f"{label:48} KL {row['kl']:8.4f} +- {row['kl_error']:.4f}  {row['parameters']:8} parameters "
        f"{row['seconds']:7.1f} s  score {1e3 * row['seconds_score']:7.1f} ms  draw {1e3 * row['seconds_draw']:7.1f} ms"
    )


def plot(rows: dict[str, Any], path: Path) -> None:
    """KL beside the time of training, one line a flow, the nearest to the density at the top."""
    labels = sorted(rows, key=lambda label: -rows[label]["kl"])
    figure, (quality, cost) = plt.subplots(1, 2, sharey=True, figsize=(9, 1.6 + 0.25 * len(labels)))
    for place, label in enumerate(labels):
        row = rows[label]
        quality.errorbar(row["kl"], place, xerr=row["kl_error"], fmt="o", color="#0072B2")
        if row["seconds"] > 0.1:  # else fitted in closed form
            cost.plot(row["seconds"], place, "o", color="#D55E00")
    quality.set_yticks(range(len(labels)), labels, fontsize=8)
    quality.set(xscale="log", xlabel="KL(p, q), nats, held out")
    cost.set(xlabel="seconds of training, one core")
    for panel in (quality, cost):
        panel.grid(alpha=0.25)
    figure.suptitle("Maximum likelihood on a product of 16 two-mode mixtures", fontsize=11)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    main()
