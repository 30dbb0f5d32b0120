"""Figures of the benchmark of real tables: one record a table, Markdown, and the counts over tables."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.lib.density_rivals import RIVALS
from benchmarks.lib.real_tables import DEVELOPED, mark
from benchmarks.lib.table_units import GAMES, METHODS, NOISES, TILTS
from contrastive.numerics.statistics import mean_with_error

Record = dict[str, Any]
_LEFT_OUT = ("log_prob", "log_q", "noise_candidates")  # long: they stay in the files of the units
_MANY_ROWS = 2_000
_ERRORS = 2  # standard errors by which a difference is called one


def summarize(name: str, units: Sequence[Record]) -> Record:
    """The figures of one table over its splits.

    A method counts where it is there on every split that the default is there on; else it has no figure. Test rows of
    all splits are taken together. The best rival is the one with the largest mean, so it is picked in hindsight.

    Args:
        name: of the table.
        units: what is kept of it, as `table_units.measure` writes it.
    """
    done = {(unit["method"], unit["seed"]): unit for unit in units if "error" not in unit}
    seeds = sorted({seed for method, seed in done if method == "default"} or {seed for _, seed in done})
    log_prob = {method: found for method in METHODS if (found := _rows(done, method, seeds, "log_prob")) is not None}
    log_q = {method: found for method in METHODS if (found := _rows(done, method, seeds, "log_q")) is not None}
    rivals = [method for method in RIVALS if method in log_prob]
    best = max(rivals, key=lambda method: float(log_prob[method].mean()), default=None)
    shown = {**log_prob, **({"its noise": log_q["default"]} if "default" in log_q else {})}
    first: Record = next(iter(done.values()), {})
    defaults = [done["default", seed] for seed in seeds if ("default", seed) in done]
    return {
        "table": name,
        "developed": name in DEVELOPED,
        **{key: first.get(key) for key in ("rows", "columns", "dequantized", "dropped")},
        "seeds": seeds,
        "log_prob": {method: float(values.mean()) for method, values in shown.items()},
        "gains": {method: mean_with_error(log_prob[method] - log_q[method]) for method in log_q},
        "best_rival": best,
        "to_best_rival": {
            method: mean_with_error(values - log_prob[best]) for method, values in shown.items() if best is not None
        },
        "noises": [_label(unit) for unit in defaults],
        "energies_kept": sum(unit["energy_kept"] for unit in defaults),
        "reliable": sum(unit["energy_kept"] and _is_reliable(unit) for unit in defaults),
        "seconds": {method: _mean_seconds(done, method, seeds) for method in log_prob},
        "units": [{key: value for key, value in unit.items() if key not in _LEFT_OUT} for unit in units],
    }


def _rows(
    done: dict[tuple[str, int], Record], method: str, seeds: Sequence[int], key: str
) -> Float[Tensor, " n"] | None:
    """Values at the test rows of all splits; None where one is missing."""
    parts = [done[method, seed].get(key) for seed in seeds if (method, seed) in done]
    if not parts or len(parts) < len(seeds) or None in parts:
        return None
    return torch.cat([torch.tensor(part, dtype=torch.float64) for part in parts])


def _mean_seconds(done: dict[tuple[str, int], Record], method: str, seeds: Sequence[int]) -> float:
    return float(sum(done[method, seed]["seconds"] for seed in seeds) / len(seeds))


def _label(unit: Record) -> str:
    return str(unit["noise_candidates"][0]["label"]) if unit.get("noise_candidates") else str(unit["noise"])


def _is_reliable(unit: Record) -> bool:
    return str(unit.get("log_partition_verdict", "")).startswith("reliable")


def main_table(records: Sequence[Record]) -> str:
    """The default beside its noise and the rivals, one line a table."""
    names = ["table (rows x columns)", "default", "its noise", "gain of the energy", *RIVALS]
    names += ["default - best rival", "log Z reliable", "seconds"]
    return _markdown(names, [_main_line(record) for record in records])


def _main_line(record: Record) -> list[str]:
    best, kept = record["best_rival"], record["energies_kept"]
    gain = _difference(record["gains"].get("default")) if kept else "noise alone"
    to_best = record["to_best_rival"].get("default")
    return [
        _title(record),
        _figure(record["log_prob"].get("default")),
        _figure(record["log_prob"].get("its noise")) + _names(record),
        gain if "default" in record["gains"] else "–",
        *(_emphasized(record, method, best) for method in RIVALS),
        _difference(to_best),
        f"{record['reliable']} of {kept}" if kept else "–",
        f"{record['seconds']['default']:.0f}" if "default" in record["seconds"] else "–",
    ]


def noise_table(records: Sequence[Record]) -> str:
    """Each noise alone, the gain of a bounded tilt over it where measured, and the games of the noise `nsf`."""
    names = ["table", *(method.partition(":")[2] for method in NOISES), *GAMES]
    return _markdown(names, [_noise_line(record) for record in records])


def _noise_line(record: Record) -> list[str]:
    cells = []
    for method in NOISES:
        tilt = f"tilt:{method.partition(':')[2]}"
        gain = f" ({_difference(record['gains'][tilt])})" if tilt in TILTS and tilt in record["gains"] else ""
        cells.append(_figure(record["log_prob"].get(method)) + gain)
    for game in GAMES:
        gain = f" ({_difference(record['gains'][game])})" if game in record["gains"] else ""
        cells.append(_figure(record["log_prob"].get(game)) + gain)
    return [mark(record["table"]), *cells]


def counts(records: Sequence[Record]) -> Record:
    """On how many tables the default is behind or ahead of the best rival, and how often log Z can be trusted."""
    compared = [record for record in records if "default" in record["to_best_rival"]]
    large = [record for record in compared if record["rows"] >= _MANY_ROWS]
    return {
        "tables": len(compared),
        "behind": [record["table"] for record in compared if _sign(record) < 0],
        "ahead": [record["table"] for record in compared if _sign(record) > 0],
        "large_tables": len(large),
        "ahead_of_large": [record["table"] for record in large if _sign(record) > 0],
        "energies_kept": sum(record["energies_kept"] for record in records),
        "reliable": sum(record["reliable"] for record in records),
    }


def _sign(record: Record) -> int:
    """Whether the default is behind (-1) or ahead (1) of the best rival by more than two standard errors."""
    mean, error = record["to_best_rival"]["default"]
    return 0 if abs(mean) <= _ERRORS * error else (1 if mean > 0 else -1)


def in_words(counted: Record, which: str) -> str:
    """`counts`, in sentences."""
    behind = f" ({', '.join(counted['behind'])})" if counted["behind"] else ""
    return (
        f"{which}: by more than {_ERRORS} standard errors the default is behind the best rival, picked in hindsight, "
        f"on {len(counted['behind'])} of {counted['tables']} tables{behind}; ahead of it on {len(counted['ahead'])}, "
        f"and on {len(counted['ahead_of_large'])} of the {counted['large_tables']} of {_MANY_ROWS:,} rows or more. "
        f"log Z is reliable in {counted['reliable']} of {counted['energies_kept']} runs whose energy was kept."
    )


def _title(record: Record) -> str:
    size = f" ({record['rows']:,} x {record['columns']})" if record["rows"] else ""
    return mark(record["table"]) + size


def _names(record: Record) -> str:
    """The noises that the default has chosen, without their options, the most frequent first."""
    found = Counter(label.split()[0] for label in record["noises"])
    return f" {', '.join(name for name, _ in found.most_common())}" if found else ""


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _emphasized(record: Record, method: str, best: str | None) -> str:
    shown = _figure(record["log_prob"].get(method))
    return f"**{shown}**" if method == best else shown


def _difference(found: Sequence[float] | None) -> str:
    return "–" if found is None else f"{found[0]:+.2f} ± {found[1]:.2f}"


def _markdown(names: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rule = "|" + "---|" * len(names)
    return "\n".join([f"| {' | '.join(names)} |", rule, *(f"| {' | '.join(line)} |" for line in lines)])
