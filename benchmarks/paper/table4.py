"""Table 4 of Gao et al. (2020): error of a classifier of images from few labels, five ways to learn it.

    python -m benchmarks.paper.table4 --data-root data                          # --scale cpu: MNIST with 100 labels
    python -m benchmarks.paper.table4 --sets svhn-part --networks tilted-conv --data-root data
    python -m benchmarks.paper.table4 --scale paper --data-root data --device cuda
    python -m benchmarks.paper.table4 --quick

Rows: supervised (the labels alone), VAT (labels and virtual adversarial training, no contrast), FCE-init (contrast with
a pre-trained Glow that is held), FCE (from there on Glow plays), FCE + VAT. One network, one optimiser, one number of
updates for all rows; one Glow a set, fitted once. scikit-learn's methods get the same labels on MNIST. Below the table
stands what each ingredient changes, seed by seed.

Every fit is a run under --out; a stopped benchmark goes on where it was, and finished cells are skipped. --rows,
--sets, --networks and --seeds choose cells; the table shows what is finished.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

import numpy as np

from benchmarks.lib.few_labels import peer_errors
from benchmarks.lib.grid import Result, benchmark_parser, provenance, run_grid
from benchmarks.lib.image_tables import AHEAD, SMALL_GLOW, spread
from contrastive.config import configure
from contrastive.data.images import ImageSource
from contrastive.data.preparation import prepare

ROWS = ["supervised", "FCE-init", "FCE", "VAT", "FCE + VAT"]
#: What each ingredient gains: a row, and the one without it.
STEPS = [("FCE-init", "supervised"), ("FCE", "FCE-init"), ("FCE + VAT", "FCE"), ("FCE + VAT", "VAT")]
#: The paper's figures. Its text was not at hand, so none is quoted: a number from memory would be no quotation.
QUOTED: dict[str, str] = {}


class ImageData(NamedTuple):
    """A set, and how it is read.

    Attributes:
        data: name or file, `{root}` stands for --data-root.
        labels: labels a class, one column of the table each.
        smooth: virtual adversarial training: its weight, and the length of the step, in model coordinates.
        fields: settings of its own.
        game: settings of its energies alone.
    """

    data: str
    labels: list[int]
    smooth: dict[str, float]
    fields: dict[str, Any]
    game: dict[str, Any]


def _smooth(weight: float, epsilon: float) -> dict[str, float]:
    return {"vat_weight": weight, "vat_epsilon": epsilon}


class Scale(NamedTuple):
    """How much is spent: settings of all runs, of Glow's, of an energy's, and the sets that it is meant for."""

    common: dict[str, Any]
    flow: dict[str, Any]
    energy: dict[str, Any]
    sets: list[str]
    networks: dict[str, dict[str, Any]]


#: Coordinates are in [-1, 1). MNIST plays at the rates of table 1, the SVHN part at those that the recipe had when its
#: kept rows were made. What longer steps do to SVHN is in docs/explanation/few-label-results.md.
SETS = {
    "mnist": ImageData("mnist", [10], _smooth(1.0, 3.0), {"color": "gray"}, AHEAD),
    "svhn-part": ImageData(
        "{root}/svhn-8885.npz",
        [10, 25, 50],
        _smooth(0.3, 1.0),
        {"columns": "x", "test": 0.5},
        {"noise_likelihood_weight": AHEAD["noise_likelihood_weight"], "gradient_penalty": 0.12},
    ),
    "svhn": ImageData("svhn", [50, 100], _smooth(1.0, 5.0), {}, {}),  # Miyato et al. (2018): 2.5, in half the range
    "synthetic": ImageData("{root}/synthetic.npz", [2], _smooth(1.0, 2.5), {"columns": "x", "test": 0.3}, {}),
}
#: f = log q + K heads: it need not learn the size of log q before the labels are heard.
_TILTED = {"energy": "tilted", "energy_options": {"correction": "conv", "widths": [32, 64, 128]}}
_NARROW = {"energy": "tilted", "energy_options": {"correction": "conv-small", "widths": [16, 32]}}
_QUICK = {"energy": "conv-small", "energy_options": {"widths": [4, 6]}}
SCALES = {
    "quick": Scale(
        {"test_rows": 20, "batch_size": 20, "evaluate_every": 10},
        {"steps": 6, "noise_options": {"levels": 1, "blocks": 1, "width": 4}},
        {"steps": 10},
        ["synthetic"],
        {"conv-small": _QUICK},
    ),
    "cpu": Scale(
        {"test_rows": 2000, "batch_size": 64, "evaluate_every": 500, "checkpoint_every": 500},
        {"steps": 2000, "recipe": "default", "pretrain_learning_rate": 2e-3, "noise_options": SMALL_GLOW},
        {"steps": 3000, "recipe": "images"},
        ["mnist"],
        {"tilted-conv": _TILTED, "tilted-conv-small": _NARROW},
    ),
    "paper": Scale(
        {"batch_size": 64, "evaluate_every": 5000},
        {"steps": 100_000, "noise_options": {"preset": "svhn"}},
        {"steps": 100_000, "learning_rate": 3e-4},
        ["svhn"],
        {"conv-small": {"energy": "conv-small"}, "conv-large": {"energy": "conv-large"}},
    ),
}


def main() -> None:
    """Fit what is missing, print the table, write it."""
    parser = benchmark_parser(__doc__, "table4", quick="tiny synthetic images, few updates, no results kept")
    parser.add_argument("--scale", choices=("cpu", "paper"), default="cpu", help="[cpu]")
    parser.add_argument("--sets", nargs="+", choices=list(SETS), metavar="SET", help="[cpu: mnist; paper: svhn]")
    parser.add_argument("--rows", nargs="+", choices=ROWS, metavar="ROW", help="[all]")
    parser.add_argument("--networks", nargs="+", metavar="NAME", help="[those of the scale]")
    parser.add_argument("--labels", nargs="+", type=int, metavar="N", help="labels a class [those of the set]")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, help="updates of each energy [those of the scale]")
    parser.add_argument(
        "--label-weight", type=float, help="of the labels beside the contrast; needs an --out of its own"
    )
    parser.add_argument("--data-root", type=Path, default=Path("data"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--no-peers", action="store_true", help="leave scikit-learn's methods out")
    arguments = parser.parse_args()
    arguments.size = "quick" if arguments.quick else arguments.scale
    if arguments.quick:
        arguments.seeds, arguments.jobs = 1, 1
        arguments.results = arguments.data_root = arguments.out
        _write_synthetic(arguments.out)
    scale = SCALES[arguments.size]
    names = arguments.sets or scale.sets
    flows = run_grid([_flow_run(scale, name, arguments) for name in names], arguments.out, arguments.jobs)
    started = {name: flow.path for name, flow in zip(names, flows)}
    cells = [cell for name in names for cell in _cells(scale, name, started[name], arguments)]
    results = run_grid(cells, arguments.out, arguments.jobs)
    rows = _rows(results, cells)
    if not arguments.no_peers:
        rows += [row for name in names if name in ("mnist", "synthetic") for row in _peer_rows(scale, name, arguments)]
    print("\n".join([_table(rows), *_steps(rows)]))
    arguments.results.mkdir(parents=True, exist_ok=True)
    own = {name: {"smooth": SETS[name].smooth, "game": SETS[name].game} for name in names}
    spent = {"common": scale.common, "flow": scale.flow, "energy": {**scale.energy, **_told(arguments)}, "own": own}
    content = {**provenance(), "scale": arguments.size, "spent": spent, "quoted": QUOTED, "rows": rows}
    name = "table4" if names == scale.sets else "-".join(["table4", *names])
    (arguments.results / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n")


def _told(arguments: Any) -> dict[str, Any]:
    told = {"steps": arguments.steps, "label_weight": arguments.label_weight}
    return {name: value for name, value in told.items() if value is not None}


def _base(scale: Scale, name: str, arguments: Any) -> dict[str, Any]:
    kept = SETS[name]
    return {
        "data": kept.data.format(root=arguments.data_root),
        "data_root": str(arguments.data_root),
        "device": arguments.device,
        "log_partition_draws": 0,
        **scale.common,
        **kept.fields,
    }


def _flow_run(scale: Scale, name: str, arguments: Any) -> tuple[str, dict[str, Any]]:
    return f"glow/{name}", {**_base(scale, name, arguments), "method": "mle", "noise": "glow", **scale.flow}


def _cells(scale: Scale, name: str, flow: Path, arguments: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """(SET/NETWORK/LABELS/ROW, settings)."""
    base, kept = _base(scale, name, arguments), SETS[name]
    steps = {**scale.energy, **kept.game, **_told(arguments)}
    alone = {**steps, "noise": "diag-gaussian", "contrast_weight": 0.0, "gradient_penalty": 0.0}
    held = {"init_noise": str(flow), **steps}
    first = steps["steps"] // 3
    game = {
        **held,
        "method": "fce",
        "energy_steps": first,
        "steps": steps["steps"] - first,
    }
    settings = {
        "supervised": alone,
        "FCE-init": held,
        "FCE": game,
        "VAT": {**alone, **kept.smooth},
        "FCE + VAT": {**game, **kept.smooth},
    }
    for seed in range(arguments.seeds):
        for labels in arguments.labels or kept.labels:
            for network in arguments.networks or scale.networks:
                for row in arguments.rows or ROWS:
                    few = {"labels_per_class": labels, "label_seed": seed, "seed": seed}
                    label = f"{name}/{network}/{labels}/{row.replace(' ', '')}"
                    yield label, {**base, **scale.networks[network], **settings[row], **few}


def _rows(results: list[Result], cells: list[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = {}
    for result, (label, fields) in zip(results, cells):
        name, network, _, short = label.split("/")
        row = next(row for row in ROWS if row.replace(" ", "") == short)
        summary = result.summary
        entry = rows.setdefault(label, _entry(name, network, fields["labels_per_class"] * len(summary["classes"]), row))
        entry["errors"].append(summary["test_error"])
        for key in ("test_log_loss", "test_calibration_error", "seconds"):
            entry.setdefault(key, []).append(summary[key])
    return [_with_spread(entry) for entry in rows.values()]


def _peer_rows(scale: Scale, name: str, arguments: Any, most: int = 5000) -> list[dict[str, Any]]:
    """scikit-learn's methods on the pixels: the same labels and test images, and `most` unlabelled ones."""
    entries: dict[str, dict[str, Any]] = {}
    for labels in arguments.labels or SETS[name].labels:
        for seed in range(arguments.seeds):
            fields = {**_base(scale, name, arguments), "labels_per_class": labels, "label_seed": seed, "seed": seed}
            fields.pop("evaluate_every")
            data = prepare(fields["data"], configure(**fields))
            source = data.row_source
            assert isinstance(source, ImageSource)
            assert data.labels is not None
            assert data.test_labels is not None
            assert data.classes is not None
            y = data.labels.numpy()
            known = np.flatnonzero(y >= 0)
            rows = np.concatenate([known, np.flatnonzero(y < 0)[:most]])
            pixels = source.images.pixels[source.rows.numpy()[rows]]
            x = pixels.reshape(len(rows), -1) / 256
            test = data.test.reshape(len(data.test), -1).double().numpy() / 256
            for peer, error in peer_errors(x, y[rows], test, data.test_labels.numpy()).items():
                entry = entries.setdefault(f"{peer}/{labels}", _entry(name, "pixels", labels * len(data.classes), peer))
                entry["errors"].append(error)
    return [_with_spread(entry) for entry in entries.values()]


def _entry(name: str, network: str, labels: int, row: str) -> dict[str, Any]:
    return {"set": name, "network": network, "labels": labels, "row": row, "errors": []}


def _with_spread(entry: dict[str, Any]) -> dict[str, Any]:
    errors = entry["errors"]
    deviation = stdev(errors) if len(errors) > 1 else None
    return {**entry, "mean_error": mean(errors), "standard_deviation": deviation}


def _table(rows: list[dict[str, Any]]) -> str:
    head = f"{'set':10} {'network':11} {'labels':>6}  {'row':34} {'error':>7} {'sd':>7}   each seed"
    lines = []
    for r in rows:
        deviation = "–" if r["standard_deviation"] is None else f"{r['standard_deviation']:.4f}"
        lines.append(
            f"{r['set']:10} {r['network']:11} {r['labels']:6}  {r['row']:34} {r['mean_error']:7.4f} {deviation:>7}   "
            + " ".join(f"{e:.4f}" for e in r["errors"])
        )
    return "\n".join([head, *lines])


def _steps(rows: list[dict[str, Any]]) -> Iterator[str]:
    """What each ingredient changes, seed by seed: the sets of labels differ more than the rows do."""
    groups: dict[tuple[str, str, int], dict[str, list[float]]] = {}
    for r in rows:
        groups.setdefault((r["set"], r["network"], r["labels"]), {})[r["row"]] = r["errors"]
    for (name, network, labels), errors in groups.items():
        for row, without in STEPS:
            if row in errors and without in errors:
                steps = [one - other for one, other in zip(errors[row], errors[without])]
                each = " ".join(f"{step:+.4f}" for step in steps)
                yield f"{name} {network} {labels}: {row} against {without} {spread(steps, 4)} ({each})"


def _write_synthetic(out: Path) -> None:
    """Three classes of 12 x 12 images: a bright bar, upright, flat or none, and noise."""
    random = np.random.default_rng(0)
    y = random.integers(3, size=150)
    x = random.integers(0, 120, size=(150, 1, 12, 12)).astype(np.uint8)
    x[y == 0, :, :, 5:7] += 120
    x[y == 1, :, 5:7, :] += 120
    out.mkdir(parents=True, exist_ok=True)
    np.savez(out / "synthetic.npz", x=x, y=y)


if __name__ == "__main__":
    main()
