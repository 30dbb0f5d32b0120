"""Do the intervals of log Z cover the truth? Oracles with an exact log Z, from 1 to 3,072 dimensions.

    python -m benchmarks.library.normalizer  # 500 repetitions of each method on each oracle, about 20 minutes
    python -m benchmarks.library.normalizer --run runs/figure2/FCE*/8gaussians-seed0  # and a fit's c and log Z
    python -m benchmarks.library.normalizer --quick

Four tables: coverage of the 95 % intervals where the verdict is "reliable"; cases whose interval misses by
construction, which must be "doubtful"; `log_partition()` as a whole; the bridge's accuracy against importance
sampling's by overlap. ebmkit's annealed importance sampling is run on the same energies and noises where it is
installed (pip install ebmkit).
"""

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.distributions import Independent, MultivariateNormal, Normal
from tqdm import tqdm

from benchmarks.lib.grid import RESULTS, provenance
from contrastive import ContrastiveEstimator, fit, load, make_density, make_energy, make_noise
from contrastive.normalizer import (
    LogPartition,
    WeightSummary,
    anneal,
    annealing_estimate,
    bridge_estimate,
    importance_estimate,
)
from contrastive.normalizer.certified import certified_partition
from contrastive.normalizer.tuning import tune
from contrastive.normalizer.weights import log_weight, noise_log_weights
from contrastive.protocols import sample_and_log_prob
from contrastive.sampling import sample_energy
from contrastive.testing.oracles import (
    IsingTorus,
    Oracle,
    constant_oracle,
    cosine_oracle,
    density_oracle,
    gaussian_oracle,
    mixture_oracle,
    student_noise,
)

_CHAINS, _CHAIN_DRAWS = 8, 100  # of the bridge, a repetition


@dataclass(frozen=True)
class Plan:
    """An oracle and how it is tried.

    Attributes:
        oracle: the problem.
        draws: of the noise, a repetition.
        methods: which.
        temperatures: of annealing.
        paths: of annealing, each way, a repetition.
    """

    oracle: Oracle
    draws: int = 2000
    methods: tuple[str, ...] = ("importance", "bridge")
    temperatures: int = 64
    paths: int = 200

    @property
    def dim(self) -> int:
        """Number of dimensions."""
        return self.oracle.estimator.noise.event_shape.numel()


def plans() -> list[Plan]:
    """The oracles of the coverage table."""
    angle = torch.arange(8) * math.pi / 4
    eight = 2 * torch.stack([angle.cos(), angle.sin()], 1)
    anneal_alone, annealed = ("annealing",), ("bridge", "annealing")
    return [
        Plan(mixture_oracle("two modes", torch.tensor([[-2.0], [1.5]]), 0.5, student_noise(1, scale=2.0))),
        Plan(gaussian_oracle("Gaussian, light-tailed noise", 1, scale=1.0, noise_scale=0.6), methods=annealed),
        Plan(mixture_oracle("8 Gaussians", eight, 0.4)),
        Plan(density_oracle("banana", make_density("banana"), banana_noise(), 1.0)),
        Plan(known_energy("ring", "ring", Independent(Normal(torch.zeros(2), torch.full((2,), 1.6)), 1), radius=2.0)),
        Plan(tilted_oracle(), methods=("importance", "bridge", "certified")),
        Plan(known_energy("ICA, Laplacian", "ica", student_noise(4, scale=1.0), dim=4)),
        Plan(known_energy("RBM, 6 hidden", "rbm", student_noise(5, scale=1.4), dim=5, hidden=6)),
        Plan(mixture_oracle("8 separate modes", 4 * torch.eye(8), 0.3), methods=anneal_alone, paths=400),
        Plan(ising_oracle()),
        Plan(
            known_energy(
                "Gaussian precision",
                "gaussian",
                Independent(Normal(torch.zeros(20), torch.full((20,), 1.2)), 1),
                dim=20,
            )
        ),
        Plan(gaussian_oracle("narrow Gaussian", 20, scale=0.4), methods=anneal_alone, temperatures=128),
        Plan(cosine_oracle("cosine tilt of a flow", 64, 0.8)),
        Plan(gaussian_oracle("narrow Gaussian", 100, scale=0.7), methods=anneal_alone, temperatures=128, paths=60),
        Plan(cosine_oracle("cosine tilt of a flow", 3072, 0.8), draws=1000),
        Plan(constant_oracle("a flow times a constant", 3072, 5.0), draws=1000),
    ]


def banana_noise() -> MultivariateNormal:
    """Broad enough for the banana's upper arms."""
    return MultivariateNormal(torch.tensor([0.0, 0.8]), torch.diag(torch.tensor([4.0, 9.0])))


def known_energy(name: str, energy: str, noise: Any, dim: int = 2, **options: Any) -> Oracle:
    """A built-in energy at random parameters, its log Z in closed form or by enumeration."""
    torch.manual_seed(7)
    module = make_energy(energy, event_shape=(dim,), **options)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        log_z = float(module.log_partition())
    return Oracle(name, ContrastiveEstimator(module, noise), log_z)


def ising_oracle() -> Oracle:
    """A 4 x 4 torus."""
    torus = IsingTorus(4, 0.1)
    noise = make_noise("bernoulli-spins", event_shape=(16,), probability=0.5)
    return Oracle("Ising torus", ContrastiveEstimator(torus, noise), torus.log_partition())


def tilted_oracle() -> Oracle:
    """A tilted energy with a bound on the plane, its log Z by quadrature."""
    torch.manual_seed(4)
    noise = make_noise("gaussian", event_shape=(2,), loc=0.0, covariance=torch.eye(2))
    energy = make_energy("tilted", event_shape=(2,), bound=1.0, widths=(16,))
    with torch.no_grad():
        for parameter in energy.parameters():
            parameter.add_(0.7 * torch.randn_like(parameter))
    estimator = ContrastiveEstimator(energy, noise)
    estimator.update_base_noise()
    g = torch.linspace(-9, 9, 1201)
    with torch.no_grad():
        f = torch.cat([estimator.unnormalized_log_prob(x) for x in torch.cartesian_prod(g, g).split(100_000)])
    return Oracle("tilted, bound 1", estimator, float(f.double().logsumexp(0)) + 2 * math.log(0.015))


# Coverage -----------------------------------------------------------------------------------------------------


def repetitions(plan: Plan, method: str, count: int) -> Iterator[LogPartition]:
    """`count` independent estimates; all draws are made together."""
    estimator = plan.oracle.estimator
    if method == "certified":
        yield from (certified_partition(estimator, plan.draws) for _ in range(count))
        return
    if method == "annealing":
        yield from annealed_repetitions(plan, count)
        return
    noise = noise_log_weights(estimator, plan.draws * count).reshape(count, plan.draws)
    if method == "importance":
        yield from (importance_estimate(WeightSummary.of(row)) for row in noise)
        return
    model = model_log_weights(plan, count)
    yield from (bridge_estimate(rows, row) for rows, row in zip(model, noise))


def model_log_weights(plan: Plan, count: int) -> Tensor:
    """Of Markov chains, `(count, chains, draws)`; in many dimensions of exact samples, to save time."""
    estimator, oracle = plan.oracle.estimator, plan.oracle
    if plan.dim > 20 and oracle.sample is not None:
        portions = (log_weight(estimator, oracle.sample(_CHAINS * _CHAIN_DRAWS)) for _ in range(count))
        return torch.stack([weights[:, None] for weights in portions])
    # As many chains as all repetitions need: they share nothing but the step size.
    samples = sample_energy(estimator, count * _CHAINS * _CHAIN_DRAWS, chains=count * _CHAINS, warmup=200)
    return log_weight(estimator, samples.z.flatten(0, 1)).reshape(count, _CHAINS, -1)


def annealed_repetitions(plan: Plan, count: int) -> Iterator[LogPartition]:
    """Forward from the noise, back from exact samples."""
    estimator, oracle = plan.oracle.estimator, plan.oracle
    assert oracle.sample is not None
    schedule = tune(estimator, 1000).schedule(plan.temperatures)
    forward = anneal(estimator, schedule, sample_and_log_prob(estimator.noise, count * plan.paths)[0].detach())
    reverse = anneal(estimator, schedule, oracle.sample(count * plan.paths), reverse=True)
    for w, v in zip(forward.split(plan.paths), reverse.split(plan.paths)):
        yield annealing_estimate(w, v[:, None])


def coverage(plan: Plan, method: str, count: int) -> dict[str, Any]:
    """One row: how often the interval of a reliable estimate holds the truth."""
    torch.manual_seed(0)
    begun = time.process_time()
    estimates = list(repetitions(plan, method, count))
    log_z = plan.oracle.log_z
    reliable = [e for e in estimates if e.is_reliable]
    hits = sum(e.low <= log_z <= e.high for e in reliable)
    errors = torch.tensor([e.log_z - log_z for e in estimates], dtype=torch.float64)
    return {
        "oracle": plan.oracle.name,
        "dim": plan.dim,
        "method": method,
        "repetitions": count,
        "reliable": len(reliable),
        "covered": hits / len(reliable) if reliable else None,
        "covered_of_all": sum(e.low <= log_z <= e.high for e in estimates) / count,
        "rmse": float(errors.square().mean().sqrt()),
        "bias": float(errors.mean()),
        "standard_error": sum(e.standard_error for e in estimates) / count,
        "cpu_seconds": round(time.process_time() - begun, 1),
    }


# Verdicts -----------------------------------------------------------------------------------------------------


def traps() -> list[tuple[str, str, Oracle]]:
    """(what, method, oracle) whose interval misses by construction."""
    centres = torch.tensor([[-4.0, 0.0], [4.0, 0.0]])
    missed = mixture_oracle("missed mode", centres, 0.5, Independent(Normal(centres[0], torch.ones(2)), 1))
    light = gaussian_oracle("light-tailed noise", 4, scale=1.0, noise_scale=0.5)
    apart = mixture_oracle("8 separate modes", 4 * torch.eye(8), 0.3)
    far = gaussian_oracle("noise far off", 20, scale=0.3)
    return [
        ("light-tailed noise", "importance", light),
        ("8 separate modes, 8-D", "importance", apart),
        ("noise far off, 20-D", "importance", far),
        ("missed mode", "importance", missed),
        ("missed mode", "bridge", missed),
        ("missed mode", "auto", missed),
    ]


def verdict(what: str, method: str, oracle: Oracle, count: int, draws: int) -> dict[str, Any]:
    """One row: how often the interval misses, and how often that is called doubtful. Data are samples of the EBM."""
    assert oracle.sample is not None
    torch.manual_seed(0)
    missed = caught = doubtful = 0
    for _ in range(count):
        estimate = oracle.estimator.log_partition(method, draws=draws, data=oracle.sample(1000))
        misses = not estimate.low <= oracle.log_z <= estimate.high
        missed += misses
        caught += misses and not estimate.is_reliable
        doubtful += not estimate.is_reliable
    return {"case": what, "method": method, "n": count, "missed": missed, "caught": caught, "doubtful": doubtful}


def whole(plan: Plan, count: int, draws: int) -> dict[str, Any]:
    """One row: `log_partition()` with its own samples, step sizes and temperatures."""
    torch.manual_seed(0)
    begun = time.process_time()
    oracle = plan.oracle
    estimates = [
        oracle.estimator.log_partition(draws=draws, data=oracle.sample(1000) if oracle.sample else None)
        for _ in range(count)
    ]
    reliable = [e for e in estimates if e.is_reliable]
    return {
        "oracle": oracle.name,
        "dim": plan.dim,
        "n": count,
        "reliable": len(reliable),
        "covered": sum(e.low <= oracle.log_z <= e.high for e in reliable),
        "methods": sorted({e.method for e in estimates}),
        "standard_error": sum(e.standard_error for e in estimates) / count,
        "cpu_seconds_each": round((time.process_time() - begun) / count, 2),
        "reasons": sorted({reason.split(":")[0] for e in estimates for reason in e.reasons}),
    }


# The bridge against importance sampling -----------------------------------------------------------------------


def bridge_gain(family: str, parameter: float, count: int, draws: int = 2000) -> dict[str, Any]:
    """Errors at equal numbers of points (the bridge's are half of p, half of q), log Z = 0.

    "shifted": p = N(parameter, 1), q = N(0, 1). "narrow": p = N(0, I) and q = N(0, I / 4) in `parameter` dimensions,
    too light-tailed for importance sampling.
    """
    torch.manual_seed(0)
    if family == "shifted":
        noise = torch.randn(count, draws, dtype=torch.float64) * parameter - parameter**2 / 2
        model = torch.randn(count, draws // 2, dtype=torch.float64) * parameter + parameter**2 / 2
    else:
        dim = int(parameter)
        chi = torch.distributions.Chi2(torch.tensor(float(dim), dtype=torch.float64))
        model, noise = chi.sample((count, draws // 2)), chi.sample((count, draws)) / 4
        model, noise = (1.5 * square - dim * math.log(2) for square in (model, noise))
    importance = noise.logsumexp(1) - math.log(draws)
    bridges = [bridge_estimate(p[:, None], q[: draws // 2]) for p, q in zip(model, noise)]
    bridge = torch.tensor([b.log_z for b in bridges])
    return {
        "family": family,
        "parameter": parameter,
        "overlap": sum(b.diagnostics["overlap"] for b in bridges) / count,
        "rmse_importance": float(importance.square().mean().sqrt()),
        "rmse_bridge": float(bridge.square().mean().sqrt()),
        "ratio": float((importance.square().mean() / bridge.square().mean()).sqrt()),
    }


# A fitted run -------------------------------------------------------------------------------------------------


def fitted(run: Path, draws: int, side: int) -> list[dict[str, Any]]:
    """Rows: log Z of a run on the plane by each method, and the learned c, against quadrature on side x side nodes."""
    estimator = load(run)
    width = 12.0  # of a square that holds all the mass: checked below
    nodes = torch.linspace(-width / 2, width / 2, side)
    rows = torch.cartesian_prod(nodes, nodes).split(100_000)
    with torch.no_grad():
        f = torch.cat([estimator.unnormalized_log_prob(x).double() for x in rows]).reshape(side, side)
    edge = torch.cat([f[0], f[-1], f[:, 0], f[:, -1]])
    cell = 2 * math.log(float(nodes[1] - nodes[0]))
    log_z, outside = float(f.flatten().logsumexp(0)) + cell, float(edge.logsumexp(0)) + cell
    coarse = float(f[::2, ::2].flatten().logsumexp(0)) + cell + 2 * math.log(2)
    x = make_density("8gaussians").sample(torch.Size([10_000]))
    c, edge_mass = float(estimator.log_normalizer), math.exp(outside - log_z)
    table: list[dict[str, Any]] = [
        {"by": "quadrature", "log_z": log_z, "error": abs(log_z - coarse), "mass_at_the_edge": edge_mass},
        {"by": "learned c", "log_z": c, "error": c - log_z},
    ]
    for method in ("importance", "bridge", "auto"):
        torch.manual_seed(0)
        e = estimator.log_partition(method, draws=draws, data=x)
        table.append(
            {
                "by": method,
                "log_z": e.log_z,
                "error": e.log_z - log_z,
                "standard_error": e.standard_error,
                "covers": e.low <= log_z <= e.high,
                "verdict": e.verdict_with_reasons,
            }
        )
    return table


# The peer -----------------------------------------------------------------------------------------------------


def peer(plan: Plan, count: int) -> dict[str, Any] | None:
    """ebmkit's forward AIS with as many temperatures and paths; None where it is not installed."""
    try:
        import ebm
    except ImportError:
        return None
    torch.manual_seed(0)
    begun = time.process_time()
    oracle, noise = plan.oracle, plan.oracle.estimator.noise

    class Energy(nn.Module):  # low is likely there
        def forward(self, x: Tensor) -> Tensor:
            return -oracle.estimator.energy(x)

    shape = tuple(noise.event_shape)
    settings: dict[str, Any] = {"n_temps": plan.temperatures, "n_chains": count * plan.paths, "base": noise}
    work = ebm.ais_log_z(Energy(), shape, **settings).log_weights.reshape(count, plan.paths)
    estimates = work.logsumexp(1) - math.log(plan.paths)
    weights = torch.softmax(work, 1) * plan.paths
    stderr = weights.std(1) / math.sqrt(plan.paths)  # as AISResult.stderr
    errors = estimates - oracle.log_z
    return {
        "oracle": oracle.name,
        "dim": plan.dim,
        "method": f"ebmkit {ebm.__version__} AIS",
        "repetitions": count,
        "covered_of_all": float((errors.abs() < 1.96 * stderr).double().mean()),
        "rmse": float(errors.square().mean().sqrt()),
        "bias": float(errors.mean()),
        "standard_error": float(stderr.mean()),
        "cpu_seconds": round(time.process_time() - begun, 1),
    }


# Output -------------------------------------------------------------------------------------------------------


def show(title: str, rows: list[dict[str, Any]]) -> None:
    """Rows as text."""
    print(f"\n{title}")
    keys = list(dict.fromkeys(key for row in rows for key in row))
    cells = [keys, *([_cell(row.get(key)) for key in keys] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(keys))]
    for line in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)))


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return "; ".join(map(str, value)) or "–"
    return "–" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def figure(rows: list[dict[str, Any]], gains: list[dict[str, Any]]) -> Figure:
    """Coverage of each oracle and method, and the bridge's gain over the overlap."""
    plot = Figure(figsize=(11, 5.4), layout="constrained")
    left, right = plot.subplots(1, 2, width_ratios=[3, 2])
    names = list(dict.fromkeys(f"{row['oracle']}, {row['dim']}-D" for row in rows))
    left.axvspan(0.93, 0.97, color="#009E73", alpha=0.15, label="goal, 93 to 97 %")
    colors = {"importance": "#D55E00", "bridge": "#0072B2", "annealing": "#CC79A7", "certified": "#555555"}
    for method, color in colors.items():
        shown = [row for row in rows if row["method"] == method and row["covered"] is not None]
        y = [names.index(f"{row['oracle']}, {row['dim']}-D") for row in shown]
        x = [row["covered"] for row in shown]
        error = [1.96 * math.sqrt(0.95 * 0.05 / row["reliable"]) for row in shown]
        left.errorbar(x, y, xerr=error, fmt="o", color=color, label=method, markersize=4, linewidth=1)
    left.set_yticks(range(len(names)), names, fontsize=8)
    left.invert_yaxis()
    left.set(xlim=(0.85, 1.01), xlabel="covered, where the verdict is reliable", title="95 % intervals of log Z")
    left.legend(frameon=False, fontsize=8)
    for family, color in {"shifted": "#0072B2", "narrow": "#D55E00"}.items():
        own = [gain for gain in gains if gain["family"] == family]
        right.plot([g["overlap"] for g in own], [g["ratio"] for g in own], "o-", color=color, label=f"{family} noise")
    right.legend(frameon=False)
    right.axhline(5, color="#999999", linewidth=0.8, linestyle="--")
    right.axvline(0.25, color="#999999", linewidth=0.8, linestyle="--")
    right.set(
        yscale="log",
        xlabel="overlap, E_p[q / (p + q)] (half at the dashed line)",
        ylabel="error of importance sampling / of the bridge",
        title="two Gaussians",
    )
    right.grid(alpha=0.25, which="both")
    return plot


def main() -> None:
    """Estimate, count, write tables and plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=500)
    parser.add_argument("--run", type=Path, help="a finished run on 8gaussians, its log Z checked by quadrature")
    parser.add_argument("--whole", type=int, default=10, help="repetitions of log_partition() as a whole [10]")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--quick", action="store_true", help="few repetitions, few dimensions")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    count, wholes, tried, draws = arguments.repetitions, arguments.whole, plans(), 20_000
    if arguments.quick:
        count, wholes, draws = 4, 1, 1000
        tried = [plan for plan in tried if plan.oracle.name in ("two modes", "Ising torus", "narrow Gaussian")][:3]
        arguments.run = arguments.out / "run"
        fit("8gaussians", steps=20, out=str(arguments.run), overwrite=True, quiet=True)
    begun = time.process_time()
    jobs: list[Callable[[], dict[str, Any]]] = [
        partial(coverage, plan, method, count) for plan in tried for method in plan.methods
    ]
    rows = [job() for job in tqdm(jobs, desc="coverage", unit="case")]
    peers = [peer(plan, min(count, 100)) for plan in tqdm(tried, desc="ebmkit") if "annealing" in plan.methods]
    cases = traps()[:1] if arguments.quick else traps()
    verdicts = [
        verdict(what, method, oracle, count if method == "importance" else wholes, max(1000, draws // 4))
        for what, method, oracle in tqdm(cases, desc="verdicts")
    ]
    wholly = [whole(plan, wholes, draws) for plan in tqdm(tried, desc="log_partition()") if plan.dim < 3072]
    pairs = [("shifted", shift) for shift in (0.5, 1.0, 1.5, 1.85, 2.0, 2.5, 3.0, 4.0)]
    pairs += [("narrow", dim) for dim in (1, 2, 3, 4, 6, 8)]
    gains = [bridge_gain(*pair, count) for pair in tqdm(pairs[::7] if arguments.quick else pairs, desc="bridge")]
    of_run = fitted(arguments.run, *((1000, 601) if arguments.quick else (1_000_000, 2401))) if arguments.run else []
    found = [row for row in peers if row is not None]
    show("Coverage of the 95 % intervals", rows)
    show("ebmkit on the same energies and noises", found or [{"ebmkit": "not installed"}])
    show("Intervals that miss by construction", verdicts)
    show("log_partition() as a whole", wholly)
    show("The bridge against importance sampling", gains)
    if of_run:
        show(f"The run {arguments.run}", of_run)
    arguments.out.mkdir(parents=True, exist_ok=True)
    tables = {"coverage": rows, "ebmkit": found, "verdicts": verdicts, "whole": wholly, "bridge": gains, "run": of_run}
    seconds = {"cpu_seconds": round(time.process_time() - begun)}
    (arguments.out / "normalizer.json").write_text(json.dumps({**provenance(), **seconds, **tables}, indent=2) + "\n")
    figure(rows, gains).savefig(arguments.out / "normalizer.png", dpi=130)


if __name__ == "__main__":
    main()
