"""Table 2 of Gao et al. (2020): bits per dimension of flows and energies.

    python -m benchmarks.paper.table2 --data-root DATA                   # SVHN part, CIFAR-10, MNIST; two cores
    python -m benchmarks.paper.table2 --data-root DATA --scale paper     # SVHN, CIFAR-10, CelebA; a GPU, days
    python -m benchmarks.paper.table2 --quick

Its runs are those of table 1: what that has made is read. An energy's bits are given with the learned c, which is a
parameter and may flatter, and with the upper end of the interval of log Z, which holds only where the verdict is
"reliable" (docs/how-to/normalizer.md).
"""

from typing import Any

from benchmarks.lib.grid import Result, provenance
from benchmarks.lib.image_tables import (
    FCE,
    FIXED,
    FLOWS,
    GAUSSIAN,
    LIKELIHOOD,
    chosen_scale,
    spread,
    table_parser,
    table_runs,
)
from contrastive.io.checkpoints import write_json

#: Of the flow, quoted from Gao et al. (2020), table 2.
QUOTED = {
    "svhn": {LIKELIHOOD: 2.17, FCE: 2.25},
    "cifar10": {LIKELIHOOD: 3.35, FCE: 3.45},
    "celeba": {LIKELIHOOD: 3.49, FCE: 3.54},
}
_FIGURES = ("bits_per_dim_noise", "bits_per_dim_energy", "bits_per_dim_energy_normalized")
_OTHERS = ("log_normalizer", "log_partition", "log_partition_low", "log_partition_high", "log_partition_verdict")


def main() -> None:
    """Fit, print the table, write it."""
    arguments = table_parser(__doc__, "table2").parse_args()
    scale, described = chosen_scale(arguments)
    rows = []
    for data in scale.data:
        runs = table_runs(arguments, scale, data, arguments.rows or (*FLOWS, FIXED, GAUSSIAN))
        rows += [row(data, label, results) for label, results in runs.items()]
    print(table(rows))
    write_json(arguments.results / "table2.json", {**provenance(), **described, "rows": rows})


def row(data: str, label: str, results: list[Result]) -> dict[str, Any]:
    """One line of the table: what each seed gave. A run by likelihood alone has no energy."""
    has_energy = label in (FCE, FIXED, GAUSSIAN)
    keys = (*_FIGURES, *_OTHERS) if has_energy else _FIGURES[:1]
    return {
        "data": data,
        "row": label,
        "quoted": QUOTED.get(data, {}).get(label),
        "seconds": [result.summary["seconds"] for result in results],
        **{key: [result.summary.get(key) for result in results] for key in keys},
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Rows as text: mean and deviation over seeds."""
    head = f"{'data':10} {'':28} {'noise':>16} {'energy, c':>16} {'energy, log Z':>16} {'quoted':>8}   verdict on log Z"
    lines = [head]
    for r in rows:
        cells = [_cell(r.get(key)) for key in _FIGURES]
        verdicts = " | ".join(dict.fromkeys(str(v).split(";")[0] for v in r.get("log_partition_verdict") or []))
        figures = "".join(f"{cell:>17}" for cell in cells)
        lines.append(f"{r['data']:10} {r['row']:28}{figures} {r['quoted'] or '–':>8}   {verdicts}")
    return "\n".join(lines)


def _cell(values: list[float | None] | None) -> str:
    found = [value for value in values or [] if value is not None]
    return spread(found, 3) if found else "–"


if __name__ == "__main__":
    main()
