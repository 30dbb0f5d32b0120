"""`contrastive schema`."""

import json as _json
from pathlib import Path
from typing import Any

import numpy as np

from contrastive.api import load
from contrastive.config import configure
from contrastive.data.preparation.mixed import read_as_it_is, schema_of
from contrastive.data.schema import Column, TableScaling
from contrastive.data.tables.raw import RawColumn, RawTable
from contrastive.errors import ContrastiveError

_SHOWN_VALUES = 4
_WIDE = 1_000.0  # times the median: better modelled by its logarithm


def run(*, data: str, json: bool, **given: Any) -> None:
    """Print the schema by which a fit would take a table as it is, or that of a finished run."""
    if (Path(data) / "config.yaml").exists():
        columns, table = _of_run(data, given), None
    else:
        config = configure({"data": data, "mixed": True, **{name: value or "" for name, value in given.items()}})
        table = read_as_it_is(data, config)
        assert table is not None
        columns = schema_of(table, config)
    rows = [_row(column, None if table is None else table.columns[column.name]) for column in columns]
    if json:
        print(_json.dumps([column.to_dict() for column in columns], indent=2, ensure_ascii=False))
        return
    width = {key: max(len(key), *(len(row[key]) for row in rows)) for key in rows[0]}
    for row in [{key: key for key in rows[0]}, *rows]:
        print("  ".join(f"{row[key]:{width[key]}}" for key in row).rstrip())
    if table is not None:
        for remark in _remarks(columns, table):
            print(remark)


def _of_run(run: str, given: dict[str, Any]) -> tuple[Column, ...]:
    if others := [f"--{name}" for name, value in given.items() if value]:
        raise ContrastiveError(f"the schema of a run is what it was fitted with: leave out {', '.join(others)}")
    scaling = load(run).scaling
    if not isinstance(scaling, TableScaling):
        raise ContrastiveError(f"{run} has no schema: it is no fit of a table as it is (--data.mixed true)")
    return scaling.columns


def _row(column: Column, raw: RawColumn | None) -> dict[str, str]:
    gone = sum(word is None for word in raw.words()) / len(raw.values) if raw is not None else 0.0
    missing = ("yes" if column.missing else "no") if raw is None else f"{100 * gone:.3g} %"
    return {
        "column": column.name,
        "kind": column.kind,
        "measure": "counting" if column.is_discrete else "Lebesgue",
        "missing": missing if column.missing else "-",
        "atoms": ", ".join(f"{atom:g}" for atom in column.atoms) or "-",
        "transform": _transform(column),
        "values": _values(column, raw),
    }


def _transform(column: Column) -> str:
    if column.is_categorical:
        return "codes"
    if column.step is not None:
        return f"steps of {column.step:g}"
    return {"positive": "log", "bounded": "logit", "circular": "angle"}.get(column.kind, "-")


def _values(column: Column, raw: RawColumn | None) -> str:
    if column.kind == "boolean":
        return "false, true"
    if column.is_categorical:
        shown = [value if isinstance(value, str) else f"{value:g}" for value in column.values[:_SHOWN_VALUES]]
        more = f", ... ({column.size})" if column.size > _SHOWN_VALUES else ""
        return ", ".join(shown) + more
    if column.kind in ("bounded", "circular"):
        return f"{column.low:g} to {column.high:g}"
    if raw is None:
        return "days since 1970-01-01" if column.kind == "date" else "-"
    low, high = np.nanmin(raw.values), np.nanmax(raw.values)
    if column.kind == "date":
        return " to ".join(str(np.datetime64("1970-01-01") + np.timedelta64(int(day), "D")) for day in (low, high))
    return f"{low:g} to {high:g}"


def _is_whole(column: Column) -> bool:
    """Whether it is a category of whole numbers."""
    return column.kind == "category" and all(
        not isinstance(value, str) and value == round(value) for value in column.values
    )


def _remarks(columns: tuple[Column, ...], table: RawTable) -> list[str]:
    """What could be corrected."""
    wide = []
    for column in columns:
        values = table.columns[column.name].values
        if (
            column.kind in ("continuous", "integer")
            and np.nanmin(values) > 0
            and np.nanmax(values) > _WIDE * np.nanmedian(values)
        ):
            wide.append(column.name)
    rounded = [column.name for column in columns if _is_whole(column)]
    said = []
    if wide:
        said.append(f"positive with a long tail, better by the logarithm: --data.positive {','.join(wide)}")
    if rounded:
        said.append(
            f"numbers of few values are categories, without an order; if new ones may come: --data.integer "
            f"{','.join(rounded)}"
        )
    return said
