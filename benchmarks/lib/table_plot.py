"""The benchmark of real tables as one picture: every method's distance to the best rival, table by table."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from benchmarks.lib.real_tables import mark

#: Colour and marker, from the back to the front.
_STYLES = {
    "gaussian": ("#999999", "x"),
    "kde": ("#CC79A7", "^"),
    "zuko-maf": ("#E69F00", "v"),
    "zuko-nsf": ("#E69F00", "D"),
    "mixture-bic": ("#009E73", "s"),
    "mixture-held-out": ("#009E73", "P"),
    "its noise": ("#D55E00", "o"),
    "default": ("#0072B2", "o"),
}
_LINEAR = 0.1  # nats around 0 that are drawn to scale
_TICKS = (-100, -10, -1, -0.1, 0, 0.1, 1, 10, 100)
_FARTHEST = 300.0  # nats: beyond, a dot lies at the edge


def figure(records: Sequence[dict[str, Any]]) -> Figure:
    """Dots with two standard errors, in nats a row; tables in order of the default's difference."""
    rows = [record for record in records if "default" in record["to_best_rival"]]
    rows.sort(key=lambda record: record["to_best_rival"]["default"][0])
    plot = Figure(figsize=(9.5, 1.6 + 0.3 * max(len(rows), 1)), layout="constrained")
    panel = plot.subplots()
    panel.set_xscale("symlog", linthresh=_LINEAR)
    panel.axvline(0, color="#555555", lw=0.8)
    for method, (color, marker) in _STYLES.items():
        _dots(panel, rows, method, color, marker)
    panel.set_yticks(range(len(rows)), [_title(record) for record in rows])
    panel.set_ylim(-0.6, max(len(rows), 1) - 0.4)
    low, high = (min(max(end, -1.5 * _FARTHEST), 1.5 * _FARTHEST) for end in panel.get_xlim())
    panel.set_xlim(low, high)
    panel.set_xticks([tick for tick in _TICKS if low <= tick <= high])
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.minorticks_off()
    panel.grid(alpha=0.25)
    panel.set_xlabel(
        "mean held-out log-density less that of the best rival, nats a row, ± 2 standard errors\n"
        f"* settings were developed on this table; what is farther than {_FARTHEST:g} lies at the edge"
    )
    if rows:
        plot.legend(loc="outside upper center", ncols=4, frameon=False, fontsize=8)
    return plot


def _dots(panel: Axes, rows: Sequence[dict[str, Any]], method: str, color: str, marker: str) -> None:
    found = [(y, *row["to_best_rival"][method]) for y, row in enumerate(rows) if method in row["to_best_rival"]]
    if not found:
        return
    places, means, errors = zip(*found)
    shown = [min(max(mean, -_FARTHEST), _FARTHEST) for mean in means]
    ours = method in ("default", "its noise")
    panel.errorbar(
        shown,
        places,
        xerr=[2 * error for error in errors] if method == "default" else None,
        fmt=marker,
        ms={"default": 6, "its noise": 9}.get(method, 5),
        color=color,
        mfc="none" if method == "its noise" else color,
        alpha=1 if ours else 0.75,
        zorder=3 if ours else 2,
        label=method if method != "default" else "default (contrastive.fit)",
    )


def _title(record: dict[str, Any]) -> str:
    return f"{mark(record['table'])}  {record['rows']:,} x {record['columns']}"
