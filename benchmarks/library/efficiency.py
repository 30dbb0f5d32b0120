"""Is a contrastive estimate as good as theory says? Variances over replications against the asymptotic formulae.

    python -m benchmarks.library.efficiency            # 5,000 replications, about 2 minutes
    python -m benchmarks.library.efficiency --quick

First table: p = N(0.5, 1) with mean, precision and c unknown, noises N(0, 4) and p itself, several objectives. n Cov of
the estimates, predicted by quadrature and found over replications, beside Cramer and Rao's (1, 2, 0.5); how often the
95 % Wald region holds the truth.

Second table: the cost of missing overlap. p = N(0, 1), q = N(D, 1), c alone unknown: n Var by NCE, and by a chain of
eight bridges (telescoping).
"""

import argparse
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor
from tqdm import tqdm

from benchmarks.lib.grid import RESULTS, provenance
from contrastive.numerics.optimal_normalizer import optimal_log_normalizer
from contrastive.objectives import Bregman, make_objective

MEAN, PRECISION = 0.5, 1.0
TRUTH = torch.tensor([MEAN, PRECISION, 0.5 * math.log(2 * math.pi)], dtype=torch.float64)
CRAMER_RAO = torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)
_AT_ONCE = 2_000_000  # points in a portion of the replications
_NEWTON_STEPS = 30
_RANK_TOLERANCE = 1e-6
_CHI2_95 = {3: 7.8147, 2: 5.9915}


@dataclass(frozen=True)
class Setting:
    """A noise N(loc, scale^2), an objective, nu, and kappa draws a data point; infinitely many are integrated over."""

    objective: str
    loc: float
    scale: float
    nu: float = 1.0
    kappa: float = 1.0

    @property
    def name(self) -> str:
        """For the table."""
        noise = "p" if (self.loc, self.scale) == (MEAN, 1.0) else f"N({self.loc:g}, {self.scale**2:g})"
        kappa = "inf" if self.kappa == math.inf else f"{self.kappa:g}"
        return f"{self.objective}, q = {noise}, nu = {self.nu:g}, kappa = {kappa}"


SETTINGS = [
    Setting("nce", 0.0, 2.0),
    Setting("nce", 0.0, 2.0, nu=10, kappa=10),
    Setting("nce", MEAN, 1.0),
    Setting("nce", MEAN, 1.0, kappa=math.inf),
    Setting("is-mle", 0.0, 2.0),
    Setting("exponential", 0.0, 2.0),
    Setting("ranking", 0.0, 2.0),
    Setting("ranking", 0.0, 2.0, kappa=5),
]


def log_normal(x: Tensor, loc: float, scale: float) -> Tensor:
    """log N(x; loc, scale^2)."""
    return -0.5 * ((x - loc) / scale) ** 2 - math.log(scale) - 0.5 * math.log(2 * math.pi)


def sufficient_statistics(x: Tensor) -> Tensor:
    """The sufficient statistics with c's: log p = theta . (x, x^2, -1), a linear model."""
    return torch.stack([x, x.square(), -torch.ones_like(x)], -1)


def to_moments(theta: Tensor) -> Tensor:
    """(mean, precision, c) from the natural parameters; without c where there are two of these."""
    precision = -2 * theta[:, 1]
    mean = theta[:, 0] / precision
    parts = [mean, precision]
    if theta.shape[1] == 3:
        parts.append(theta[:, 2] - 0.5 * precision * mean.square())
    return torch.stack(parts, 1)


NATURAL = torch.tensor(
    [PRECISION * MEAN, -0.5 * PRECISION, float(TRUTH[2]) + 0.5 * PRECISION * MEAN**2], dtype=torch.float64
)


# Replications ---------------------------------------------------------------------------------------------------


def estimates(setting: Setting, n: int, count: int, generator: torch.Generator) -> Tensor:
    """(mean, precision, c) of `count` data sets of n points, by Newton's method from the truth."""
    per_data = 0 if setting.kappa == math.inf else int(setting.kappa)
    portion = max(1, _AT_ONCE // (n * (1 + per_data)))
    found = []
    for begin in range(0, count, portion):
        r = min(portion, count - begin)
        x = MEAN + torch.randn(r, n, generator=generator, dtype=torch.float64)
        y = setting.loc + setting.scale * torch.randn(r, n * per_data, generator=generator, dtype=torch.float64)
        found.append(_ranked(setting, x, y) if setting.objective == "ranking" else _contrasted(setting, x, y))
    return to_moments(torch.cat(found))


def _contrasted(setting: Setting, x: Tensor, y: Tensor) -> Tensor:
    objective = make_objective(setting.objective)
    assert isinstance(objective, Bregman)
    weights = torch.full((1, y.shape[1]), 1 / max(1, y.shape[1]), dtype=torch.float64)
    if not y.shape[1]:  # all of the noise, by Gauss and Hermite
        nodes, masses = np.polynomial.hermite_e.hermegauss(60)
        y = setting.loc + setting.scale * torch.as_tensor(nodes)[None].expand(len(x), -1)
        weights = torch.as_tensor(masses / masses.sum())[None]
    sides: list[tuple[Tensor, Tensor, Callable[[Tensor], Tensor], Any]] = [
        (
            sufficient_statistics(x),
            log_normal(x, setting.loc, setting.scale),
            lambda r: -objective.slope(r),
            1 / x.shape[1],
        ),
        (
            sufficient_statistics(y),
            log_normal(y, setting.loc, setting.scale),
            lambda r: setting.nu * objective.dual(r),
            weights,
        ),
    ]
    theta = NATURAL.repeat(len(x), 1)
    for _ in range(_NEWTON_STEPS):
        gradient, hessian = torch.zeros(len(x), 3).double(), torch.zeros(len(x), 3, 3).double()
        for t, log_q, loss, weight in sides:
            r = (t @ theta[:, :, None])[..., 0] - log_q - math.log(setting.nu)
            first, second = (derivative * weight for derivative in _derivatives(loss, r))
            gradient += (first[..., None] * t).sum(1)
            hessian += torch.einsum("rn,rni,rnj->rij", second, t, t)
        step = torch.linalg.solve(hessian, gradient)
        theta = theta - step
        if float(step.abs().max()) < 1e-10:
            break
    return theta


def _ranked(setting: Setting, x: Tensor, y: Tensor) -> Tensor:
    candidates = torch.cat([x[..., None], y.reshape(*x.shape, -1)], -1)
    t, log_q = sufficient_statistics(candidates)[..., :2], log_normal(candidates, setting.loc, setting.scale)
    theta = NATURAL[:2].repeat(len(x), 1)
    for _ in range(_NEWTON_STEPS):
        chance = ((t @ theta[:, None, :, None])[..., 0] - log_q).softmax(-1)
        mean = (chance[..., None] * t).sum(2)
        gradient = (mean - t[:, :, 0]).mean(1)
        second = torch.einsum("rnk,rnki,rnkj->rij", chance, t, t) / x.shape[1]
        hessian = second - torch.einsum("rni,rnj->rij", mean, mean) / x.shape[1]
        step = torch.linalg.solve(hessian, gradient)
        theta = theta - step
        if float(step.abs().max()) < 1e-10:
            break
    return theta


def _derivatives(loss: Callable[[Tensor], Tensor], r: Tensor) -> tuple[Tensor, Tensor]:
    r = r.detach().requires_grad_()
    (first,) = torch.autograd.grad(loss(r).sum(), r, create_graph=True)
    if not first.requires_grad:  # a linear loss
        return first, torch.zeros_like(r)
    (second,) = torch.autograd.grad(first.sum(), r, allow_unused=True)
    return first.detach(), torch.zeros_like(r) if second is None else second


# Theory ---------------------------------------------------------------------------------------------------------


def predicted(setting: Setting) -> Tensor:
    """n Cov of (mean, precision, c) by quadrature: the formulae of `inference.asymptotics`, at the truth."""
    x = torch.linspace(-14, 14, 40_001, dtype=torch.float64)
    log_p, log_q = log_normal(x, MEAN, 1.0), log_normal(x, setting.loc, setting.scale)
    psi = torch.stack([PRECISION * (x - MEAN), -0.5 * (x - MEAN).square(), -torch.ones_like(x)], 1)
    if setting.objective == "ranking":
        return _predicted_ranking(setting)
    objective = make_objective(setting.objective)
    assert isinstance(objective, Bregman)
    r = log_p - log_q - math.log(setting.nu)
    w, p = objective.weight(r), log_p.exp()

    def mean(values: Tensor) -> Tensor:
        return torch.trapezoid(p.reshape(-1, *[1] * (values.ndim - 1)) * values, x, dim=0)

    outer = psi[:, :, None] * psi[:, None]
    mu = mean(w[:, None] * psi)
    scatter = mean((w.square())[:, None, None] * outer) - mu[:, None] * mu
    if setting.kappa < math.inf:
        noise = (r.exp() * w.square())[:, None, None] * outer
        scatter = scatter + (setting.nu * mean(noise) - mu[:, None] * mu) / setting.kappa
    inverse = torch.linalg.inv(mean(w[:, None, None] * outer))
    return inverse @ scatter @ inverse


def _predicted_ranking(setting: Setting) -> Tensor:
    """The information identity, its expectation over a data point and K negatives by four million draws."""
    generator = torch.Generator().manual_seed(1)
    k, n = int(setting.kappa), 4_000_000 // (1 + int(setting.kappa))
    x = MEAN + torch.randn(n, 1, generator=generator, dtype=torch.float64)
    y = setting.loc + setting.scale * torch.randn(n, k, generator=generator, dtype=torch.float64)
    both = torch.cat([x, y], 1)
    psi = torch.stack([both - MEAN, -0.5 * (both - MEAN).square()], -1)
    chance = (log_normal(both, MEAN, 1.0) - log_normal(both, setting.loc, setting.scale)).softmax(1)[..., None]
    centred = psi - (chance * psi).sum(1, keepdim=True)
    return torch.linalg.inv(torch.einsum("nki,nkj->ij", chance * centred, centred) / n)


def row(setting: Setting, n: int, count: int) -> dict[str, Any]:
    """Prediction and finding of one setting. The standard error of a variance is sqrt(2 / count) of it."""
    theory = predicted(setting)
    truth = TRUTH[: len(theory)]
    gap = estimates(setting, n, count, torch.Generator().manual_seed(0)) - truth
    found = n * gap.mT @ gap / count
    # Where the noise is p itself one direction has no variance at first order: Wald's statistic leaves it out.
    rank = int(torch.linalg.matrix_rank(theory, rtol=_RANK_TOLERANCE))
    wald = n * ((gap @ torch.linalg.pinv(theory, rtol=_RANK_TOLERANCE)) * gap).sum(1)
    error = math.sqrt(2 / count)
    return {
        "setting": setting.name,
        "predicted": theory.diagonal().tolist(),
        "found": found.diagonal().tolist(),
        "standard_errors_off": ((found.diagonal() / theory.diagonal() - 1) / error).tolist(),
        "efficiency": (CRAMER_RAO[: len(theory)] / theory.diagonal()).tolist(),
        "rank": rank,
        "wald_mean": float(wald.mean()),
        "wald_covered": float((wald <= _CHI2_95[rank]).double().mean()),
    }


# Overlap --------------------------------------------------------------------------------------------------------


def variance_of_c(distance: float, bridges: int = 1) -> float:
    """n Var of c alone by NCE at nu = kappa = 1, over a chain of bridges with n points at each level, by quadrature.

    A level is data in one bridge and noise in the next: its two errors are added before they are squared. One bridge is
    1 / E_p[q / (p + q)] - 2.
    """
    step = distance / bridges
    x = torch.linspace(-12, 12, 60_001, dtype=torch.float64)
    p = log_normal(x, 0.0, 1.0).exp()
    as_data = torch.sigmoid(-step * (step / 2 - x))
    as_noise = -torch.sigmoid(-step * (step / 2 + x))
    slope = torch.trapezoid(p * as_data, x)

    def variance(h: Tensor) -> Tensor:
        return torch.trapezoid(p * h.square(), x) - torch.trapezoid(p * h, x).square()

    levels = variance(as_data) + (bridges - 1) * variance(as_data + as_noise) + variance(as_noise)
    return float(levels / slope.square())


def separation(distance: float, bridges: int, count: int) -> dict[str, Any]:
    """n Var of the sum of `bridges` estimates of c, each between neighbours."""
    step = distance / bridges
    # The delta method holds once n is many times the variance of one bridge.
    n = int(min(400_000, max(2_000, 50 * variance_of_c(step))))
    generator = torch.Generator().manual_seed(0)
    errors = torch.zeros(count, dtype=torch.float64)
    for i in range(count):
        levels = torch.randn(bridges + 1, n, generator=generator, dtype=torch.float64)
        for x, y in pairwise(levels):
            errors[i] += optimal_log_normalizer(step * (step / 2 - x), step * (-step / 2 - y), 1.0)
    return {
        "distance": distance,
        "bridges": bridges,
        "n": n,
        "predicted": variance_of_c(distance, bridges),
        "found": n * float(errors.square().mean()),
    }


def figure(rows: list[dict[str, Any]], chains: list[dict[str, Any]]) -> Figure:
    """Variances over Cramer and Rao's for each setting, and over the distance of p and q."""
    plot = Figure(figsize=(11, 4.4), layout="constrained")
    left, right = plot.subplots(1, 2)
    colors = {"mean": "#0072B2", "precision": "#D55E00", "c": "#009E73"}
    for i, (name, color) in enumerate(colors.items()):
        own = [(y, r) for y, r in enumerate(rows) if len(r["found"]) > i]
        places = [y + 0.2 * (i - 1) for y, _ in own]
        scale = [float(CRAMER_RAO[i])] * len(own)
        left.plot([r["predicted"][i] / s for (_, r), s in zip(own, scale)], places, "|", color=color, markersize=14)
        left.plot([r["found"][i] / s for (_, r), s in zip(own, scale)], places, "o", color=color, ms=5, label=name)
    left.set_yticks(range(len(rows)), [r["setting"] for r in rows], fontsize=8)
    left.invert_yaxis()
    left.axvline(1, color="#999999", linewidth=0.8)
    left.set(xlabel="variance / Cramér-Rao's (bar: theory, dot: found)", title="N(0.5, 1), three unknowns")
    left.legend(frameon=False, fontsize=8)
    grid = torch.linspace(0.5, 8, 60).tolist()
    for bridges, color in ((1, "#D55E00"), (8, "#0072B2")):
        right.plot(grid, [variance_of_c(d, bridges) for d in grid], color=color, linewidth=1)
        own_chains = [c for c in chains if c["bridges"] == bridges]
        label = "NCE" if bridges == 1 else "eight bridges"
        right.plot([c["distance"] for c in own_chains], [c["found"] for c in own_chains], "o", color=color, label=label)
    right.set(
        yscale="log", xlabel="distance of the means, standard deviations", ylabel="n Var(c)", title="missing overlap"
    )
    right.grid(alpha=0.25, which="both")
    right.legend(frameon=False)
    return plot


def main() -> None:
    """Estimate, compare, write table and plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replications", type=int, default=5_000)
    parser.add_argument("--rows", type=int, default=1_000, help="data points of a replication [1000]")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--quick", action="store_true", help="few replications, two settings")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    count, settings, chains, repeats = arguments.replications, SETTINGS, [2.0, 4.0, 6.0, 8.0], 500
    if arguments.quick:
        count, settings, chains, repeats = 200, [SETTINGS[0], SETTINGS[-2]], [2.0], 50
    rows = [row(s, arguments.rows, count) for s in tqdm(settings, desc="replications", unit="setting")]
    pairs = [(d, k) for d in chains for k in (1, 8)]
    overlaps = [separation(d, k, repeats) for d, k in tqdm(pairs, desc="overlap")]
    print(f"{'n Cov of (mean, precision, c)':44} {'predicted':>22} {'found':>22}  largest z  Wald's mean, coverage")
    for r in rows:
        cells = [" ".join(f"{v:6.3f}" for v in r[key]) for key in ("predicted", "found")]
        worst = max(r["standard_errors_off"], key=abs)
        print(
            f"{r['setting']:44} {cells[0]:>22} {cells[1]:>22} {worst:10.1f}  "
            f"{r['wald_mean']:.3f} of {r['rank']}, {r['wald_covered']:.4f}"
        )
    print(f"\n{'distance':>8} {'bridges':>8} {'n':>8} {'n Var(c) predicted':>19} {'found':>10}")
    for c in overlaps:
        print(f"{c['distance']:8g} {c['bridges']:8} {c['n']:8,} {c['predicted']:19.4g} {c['found']:10.4g}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    content = {**provenance(), "rows": arguments.rows, "replications": count, "variances": rows, "overlap": overlaps}
    (arguments.out / "efficiency.json").write_text(json.dumps(content, indent=2) + "\n")
    figure(rows, overlaps).savefig(arguments.out / "efficiency.png", dpi=130)


if __name__ == "__main__":
    main()
