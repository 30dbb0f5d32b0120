"""Figure 1 of Gao et al. (2020): truth, Glow by maximum likelihood, Glow by FCE, energy by FCE, on several densities.

python -m benchmarks.paper.figure1
python -m benchmarks.paper.figure1 --data 8gaussians two-spirals checkerboard pinwheel
python -m benchmarks.paper.figure1 --quick
"""

import json
from typing import Any

import torch
from matplotlib.figure import Figure

from benchmarks.lib.grid import Result, benchmark_parser, provenance, run_grid
from contrastive.api import load
from contrastive.data.densities import make_density

_PIXELS = 200


def main() -> None:
    """Fit, draw, keep the figures' numbers."""
    parser = benchmark_parser(__doc__, "figure1", quick="few updates, small flow, no results kept")
    parser.add_argument("--data", nargs="+", default=["8gaussians", "two-spirals", "checkerboard"])
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--pretrain-steps", type=int, default=2_000, help="of the flow that then plays [2000]")
    arguments = parser.parse_args()
    common: dict[str, Any] = {"noise": "glow", "batch_size": 1000}
    if arguments.quick:
        arguments.steps, arguments.pretrain_steps, arguments.jobs = 40, 20, 1
        arguments.results = arguments.out
        common = {"noise": "glow", "batch_size": 200, "noise_options": {"depth": 2, "width": 16}}
    # The flow of fixed-flow NCE is the one by maximum likelihood, its energy is not shown; both get as many updates.
    mle = {"method": "nce", "steps": 1, "pretrain_steps": arguments.pretrain_steps + arguments.steps}
    fce = {"method": "fce", "steps": arguments.steps, "pretrain_steps": arguments.pretrain_steps}
    grid = [(name, {**common, **own, "data": d}) for d in arguments.data for name, own in (("mle", mle), ("fce", fce))]
    results = run_grid(grid, arguments.out, arguments.jobs)
    keys = ("data", "method", "kl_noise", "mse_log_prob_noise", "kl_energy", "mse_log_prob_energy", "seconds")
    rows = [{"flow": r.label, **{key: r.summary[key] for key in keys}} for r in results]
    arguments.results.mkdir(parents=True, exist_ok=True)
    (arguments.results / "figure1.json").write_text(json.dumps({**provenance(), "rows": rows}, indent=2) + "\n")
    picture = figure(arguments.data, {(r.summary["data"], r.label): r for r in results})
    picture.savefig(arguments.results / "figure1.png", dpi=110)
    for r in rows:
        print(
            f"{r['data']:16} flow by {r['flow']}: KL {r['kl_noise']:.4f}"
            + f"  energy {r['mse_log_prob_energy']:.4f}" * (r["flow"] == "fce")
        )


@torch.no_grad()
def figure(names: list[str], results: dict[tuple[str, str], Result]) -> Figure:
    """One row a density, one column a model."""
    plot = Figure(figsize=(10, 2.6 * len(names)), layout="constrained")
    panels = plot.subplots(len(names), 4, squeeze=False)
    for row, name in zip(panels, names):
        density = make_density(name)
        mle, fce = load(results[name, "mle"].path), load(results[name, "fce"].path)
        x_min, x_max, y_min, y_max = density.extent
        x = torch.linspace(x_min, x_max, _PIXELS)
        y = torch.linspace(y_min, y_max, _PIXELS)
        points = torch.cartesian_prod(x, y)
        log_probs: list[Any] = [density.log_prob, mle.noise_log_prob, fce.noise_log_prob, fce.log_prob]
        images = [log_prob(points).exp().reshape(_PIXELS, _PIXELS).T for log_prob in log_probs]
        for panel, image in zip(row, images):
            top = float(images[0].max())
            panel.imshow(image, extent=density.extent, origin="lower", cmap="inferno", vmin=0, vmax=top, aspect="auto")
            panel.set(xticks=[], yticks=[])
        row[0].set_ylabel(name)
    for panel, title in zip(panels[0], ("truth", "Glow, maximum likelihood", "Glow, FCE", "energy, FCE")):
        panel.set_title(title)
    return plot


if __name__ == "__main__":
    main()
