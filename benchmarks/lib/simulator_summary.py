"""The benchmark of simulators as a table, a sentence and a picture."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
from matplotlib.figure import Figure

#: Methods in the order of the table, with their titles and colours.
TITLES = {"default": "contrastive", "noise": "its noise alone", "npe": "NPE", "nre": "NRE", "exact": "exact"}
_COLORS = {"default": "#0072B2", "noise": "#56B4E9", "npe": "#D55E00", "nre": "#E69F00", "exact": "#999999"}
_RIVALS = ("npe", "nre")
_TOLERANCE = 0.02

Record = dict[str, Any]


def summarize(figures: Sequence[Record]) -> list[Record]:
    """One record a task and number of simulations: of each method the mean C2ST, its standard error, the seconds."""
    key = lambda found: (found["simulations"], found["task"])  # noqa: E731
    records = []
    for (simulations, task), group in groupby(sorted(figures, key=key), key=key):
        methods = {found["method"]: _mean(found) for found in group}
        records.append({"task": task, "simulations": simulations, "methods": methods})
    return records


def _mean(found: Record) -> Record:
    if "error" in found or not found["c2st"]:
        return {"error": found.get("error", "not judged yet")}
    c2st = np.array(found["c2st"])
    error = c2st.std(ddof=1) / np.sqrt(len(c2st)) if len(c2st) > 1 else None
    means = {"c2st": float(c2st.mean()), "standard_error": None if error is None else float(error)}
    kept = ("fit_seconds", "draw_seconds", "notes")
    return {**means, "each": found["c2st"], **{name: found[name] for name in kept}}


def main_table(records: Sequence[Record]) -> str:
    """Markdown: mean C2ST of each method, and in brackets the seconds of its fit."""
    lines = [f"| task | simulations | {' | '.join(TITLES.values())} |", "|" + "---|" * (len(TITLES) + 2)]
    for record in records:
        cells = [_cell(record["methods"].get(method)) for method in TITLES]
        lines.append(f"| {record['task']} | {record['simulations']:,} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(found: Record | None) -> str:
    if found is None or "error" in found:
        return "-"
    error = "" if found["standard_error"] is None else f" ± {found['standard_error']:.3f}"
    return f"{found['c2st']:.3f}{error} ({found['fit_seconds']:.0f} s)"


def in_words(records: Sequence[Record]) -> str:
    """How often the default is below, or near, the better of the rivals; a sentence a number of simulations."""
    sentences = []
    for simulations in sorted({record["simulations"] for record in records}):
        differences = [difference(record) for record in records if record["simulations"] == simulations]
        known = [found for found in differences if found is not None]
        if known:
            sentences.append(
                f"{simulations:,} simulations: C2ST is below that of the better rival on {sum(d < 0 for d in known)} "
                f"of {len(known)} tasks, and above by more than {_TOLERANCE} on {sum(d > _TOLERANCE for d in known)}."
            )
    return "\n".join(sentences)


def difference(record: Record) -> float | None:
    """The default's C2ST less that of the better rival; None where one of them is missing."""
    found = {name: value["c2st"] for name, value in record["methods"].items() if "error" not in value}
    if "default" not in found or not all(rival in found for rival in _RIVALS):
        return None
    return float(found["default"] - min(found[rival] for rival in _RIVALS))


def figure(records: Sequence[Record]) -> Figure:
    """A panel a number of simulations: C2ST of each method on each task, every observation a dot, the means as bars."""
    numbers = sorted({record["simulations"] for record in records}) or [0]
    plot = Figure(figsize=(9.5, 2.6 * len(numbers) + 0.8), layout="constrained")
    panels = plot.subplots(len(numbers), 1, squeeze=False)[:, 0]
    shown = [method for method in TITLES if any(method in record["methods"] for record in records)]
    for panel, simulations in zip(panels, numbers):
        rows = [record for record in records if record["simulations"] == simulations]
        for i, method in enumerate(shown):
            places = np.arange(len(rows)) + (i - (len(shown) - 1) / 2) * 0.8 / len(shown)
            for place, record in zip(places, rows):
                found = record["methods"].get(method)
                if found is None or "error" in found:
                    continue
                each = found["each"]
                panel.plot(np.full(len(each), place), each, ".", ms=3, color=_COLORS[method], alpha=0.5)
                panel.plot(place, found["c2st"], "_", ms=11, mew=2.5, color=_COLORS[method])
        panel.set_xticks(range(len(rows)), [record["task"].replace("_", " ") for record in rows], fontsize=8)
        panel.axhline(0.5, color="#555555", lw=0.8)
        panel.set_ylim(0.45, 1.02)
        panel.set_ylabel("C2ST")
        panel.set_title(f"{simulations:,} simulations", fontsize=9)
        panel.grid(axis="y", alpha=0.25)
    for method in shown:
        panels[0].plot([], [], "_", ms=11, mew=2.5, color=_COLORS[method], label=TITLES[method])
    plot.legend(loc="outside upper center", ncols=len(shown), frameon=False, fontsize=8)
    return plot
