"""p(redshift | six magnitudes) by the default settings, beside a flow by maximum likelihood and a linear Gaussian.

    python -m benchmarks.library.redshifts --data-root /data   # /data/tables/galaxies.parquet
    python -m benchmarks.library.redshifts --quick

The table holds 100,000 simulated galaxies (of the package pzflow). `contrastive.fit(redshift, given=magnitudes)` and
the rivals get the same rows; zuko's conditional neural spline flow has as many seconds as the library took, and stops
early by a tenth of its rows. A tenth of all rows judges, and chooses nothing.

Log-densities are in nats a galaxy, redshift's own units. Each model's density is normalised by quadrature over redshift
for each galaxy, so no normaliser needs to be trusted; how far the library's own is off is printed. The
probability-integral transform P(Z <= z | magnitudes) is uniform if the density is right: the picture shows its
histogram and a band that a right model leaves with a probability of at most 5 %, all bins together.
"""

import argparse
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import kstest
from torch import Tensor

from benchmarks.lib.grid import benchmark_parser, one_thread, provenance, run_or_explain
from benchmarks.lib.redshift_models import Fitted, Scored, band, fit_default, fit_flow, fit_line, on_grid, score
from contrastive.errors import ContrastiveError
from contrastive.io.checkpoints import write_json
from contrastive.numerics.statistics import mean_with_error

TITLES = {"default": "contrastive", "flow": "NSF by likelihood", "line": "linear Gaussian"}
_COLORS = {"default": "#0072B2", "flow": "#D55E00", "line": "#999999"}
_TEST, _BINS, _LEVEL, _GRID = 0.1, 20, 0.95, 1_000
_SHOWN = 6


def main() -> None:
    """Fit the three, print the table, write it and the picture."""
    parser = benchmark_parser(__doc__, "redshifts", "made-up galaxies, few updates: does it run?")
    parser.add_argument("--data-root", type=Path, help="folder with tables/galaxies.parquet")
    parser.add_argument("--rows", type=int, default=20_000, help="galaxies, at random [20,000]")
    parser.add_argument("--seed", type=int, default=0, help="of rows and fits [0]")
    run_or_explain(_run, parser.parse_args())


def _run(arguments: argparse.Namespace) -> None:
    one_thread()
    if arguments.quick:
        arguments.rows, arguments.results = 300, arguments.out
    z, y = made_up(arguments.rows) if arguments.quick else read_galaxies(arguments.data_root, arguments)
    n = round(_TEST * len(z))
    fits = fit_all(z[n:], y[n:], arguments.seed, steps=10 if arguments.quick else None)
    margin = 0.2 * float(z.max() - z.min())
    grid = torch.linspace(float(z.min()) - margin, float(z.max()) + margin, _GRID, dtype=torch.float64)
    scores = {name: score(fit.log_density, z[:n], y[:n], grid) for name, fit in fits.items()}
    print(table(fits, scores))
    found = {name: {**figures(scores, name), "seconds": fits[name].seconds, **fits[name].notes} for name in fits}
    content = {"rows": len(z), "test_rows": n, "seed": arguments.seed, "bins": _BINS, "level": _LEVEL, "models": found}
    arguments.results.mkdir(parents=True, exist_ok=True)
    write_json(arguments.results / "redshifts.json", {**provenance(), **content})
    picture(fits, scores, z[:n], y[:n], grid).savefig(arguments.results / "redshifts.png", dpi=130)


def read_galaxies(root: Path | None, arguments: argparse.Namespace) -> tuple[Tensor, Tensor]:
    """Redshifts `(n, 1)` and magnitudes `(n, 6)`, rows at random, the first tenth of which judges.

    Raises:
        ContrastiveError: if the table is not there.
    """
    if root is None or not (path := root / "tables" / "galaxies.parquet").exists():
        raise ContrastiveError("--data-root names the folder that holds tables/galaxies.parquet")
    table = pd.read_parquet(path).sample(arguments.rows, random_state=arguments.seed)
    rows = torch.from_numpy(table[["redshift", *"ugrizy"]].to_numpy(dtype="float32"))
    return rows[:, :1], rows[:, 1:]


def made_up(n: int) -> tuple[Tensor, Tensor]:
    """Rows of the form of the table, for tests."""
    generator = torch.Generator().manual_seed(0)
    z = torch.rand(n, 1, generator=generator)
    return z, 22 + 3 * z + torch.randn(n, 6, generator=generator)


def fit_all(z: Tensor, y: Tensor, seed: int, *, steps: int | None) -> dict[str, Fitted]:
    """The three models on the same rows; the flow has the seconds of the default."""
    default = fit_default(z, y, seed, steps)
    return {"default": default, "flow": fit_flow(z, y, seed, default.seconds), "line": fit_line(z, y)}


def figures(scores: dict[str, Scored], name: str) -> dict[str, Any]:
    """Means with standard errors in nats a galaxy, and how uniform the probability-integral transform is."""
    scored = scores[name]
    low, high = band(len(scored.pit), _BINS, _LEVEL)
    counts = torch.histc(scored.pit, _BINS, 0, 1)
    return {
        "log_prob": mean_with_error(scored.log_prob),
        "default_ahead_by": mean_with_error(scores["default"].log_prob - scored.log_prob),
        "log_normalizer": [float(scored.log_normalizer.mean()), float(scored.log_normalizer.std())],
        "bins_outside_band": int(((counts < low) | (counts > high)).sum()),
        "kolmogorov_smirnov": [float(value) for value in kstest(scored.pit.numpy(), "uniform")],
    }


def table(fits: dict[str, Fitted], scores: dict[str, Scored]) -> str:
    """The figures as a Markdown table."""
    names = ["model", "log p, nats a galaxy", "default ahead by", "bins outside the band", "seconds"]
    lines = [f"| {' | '.join(names)} |", "|" + "---|" * len(names)]
    for name, fit in fits.items():
        found = figures(scores, name)
        cells = [
            TITLES[name],
            *(f"{found[key][0]:.3f} ± {found[key][1]:.3f}" for key in ("log_prob", "default_ahead_by")),
        ]
        lines.append(f"| {' | '.join(cells)} | {found['bins_outside_band']} of {_BINS} | {fit.seconds:.0f} |")
    mean, spread = figures(scores, "default")["log_normalizer"]
    lines += [
        "",
        f"The log of the integral of the default's own density over redshift: {mean:+.3f}, spread {spread:.3f}.",
    ]
    return "\n".join(lines)


def picture(fits: dict[str, Fitted], scores: dict[str, Scored], z: Tensor, y: Tensor, grid: Tensor) -> Figure:
    """Histograms of the probability-integral transforms, and the densities of six galaxies over the range of z."""
    plot = Figure(figsize=(10, 7), layout="constrained")
    panels = plot.subplots(3, 3)
    for panel, name in zip(panels[0], fits):
        _histogram(panel, scores[name], name)
    # Spread over the range of redshifts, the rows of evenly spaced ranks.
    rows = z[:, 0].argsort()[torch.linspace(0.05, 0.95, _SHOWN).mul(len(z) - 1).long()]
    for panel, row in zip(panels[1:].flatten(), rows):
        _densities(panel, fits, y[row, None], grid)
        panel.axvline(float(z[row]), color="black", lw=1.2, label="truth")
        panel.set_xlabel("redshift", fontsize=8)
        panel.set_yticks([])
    panels[1, 0].legend(frameon=False, fontsize=7)
    return plot


def _histogram(panel: Axes, scored: Scored, name: str) -> None:
    low, high = band(len(scored.pit), _BINS, _LEVEL)
    panel.hist(scored.pit.numpy(), bins=_BINS, range=(0, 1), color=_COLORS[name], alpha=0.7)
    panel.axhspan(low, high, color="#555555", alpha=0.25, lw=0)
    panel.set_title(f"{TITLES[name]}: P(Z <= z | magnitudes)", fontsize=8)


def _densities(panel: Axes, fits: dict[str, Fitted], y: Tensor, grid: Tensor) -> None:
    peak = 0.0
    for name, fit in fits.items():
        values = on_grid(fit.log_density, y, grid)[0]
        density = (values - values.logsumexp(0)).exp() / (grid[1] - grid[0])
        peak = max(peak, float(density.max()))
        panel.plot(grid, density, color=_COLORS[name], lw=1.3, label=TITLES[name])
    panel.set_ylim(0, 1.08 * peak)


if __name__ == "__main__":
    main()
