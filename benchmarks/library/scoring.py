"""Memory and time of `contrastive score` by the number of rows: the peak should not grow with the file.

    python -m benchmarks.library.scoring
    python -m benchmarks.library.scoring --quick

Files of ten columns are made on the spot, .csv, .parquet and .npy, and each is scored by a process of its own with the
default energy and noise. The peak is that process's largest resident memory, imports and model included.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

import contrastive
from benchmarks.lib.grid import benchmark_parser, one_thread, provenance
from contrastive.io.checkpoints import write_json
from contrastive.training.run_directory import RunDirectory

COLUMNS = [f"x{i}" for i in range(10)]
KINDS = ("csv", "parquet", "npy")
_BLOCK = 50_000
_FITTED = 5_000
# VmHWM, since the peak of getrusage counts what the parent held before the program began.
_SCORE = """
import sys
from contrastive.cli.main import main
code = main(sys.argv[1:])
print([line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")][0])
sys.exit(code)
"""


def main() -> None:
    """Fit a run, score files of each kind and size, print the table, write it."""
    parser = benchmark_parser(__doc__, "scoring", "small files: does it run?")
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 4_000_000], help="[1000000 4000000]")
    arguments = parser.parse_args()
    sizes = [3_000] if arguments.quick else arguments.rows
    one_thread()
    run = arguments.out / "run"
    if not RunDirectory(run).is_finished:
        x = np.concatenate(list(blocks(_FITTED)))
        steps = 20 if arguments.quick else 500
        contrastive.fit(x, steps=steps, quiet=True, out=str(run), overwrite=True, run={"log_partition_draws": 1000})
    calls = [(kind, rows) for rows in sizes for kind in KINDS]
    found = [measure(run, kind, rows, arguments.out) for kind, rows in tqdm(calls, desc="scoring", unit="file")]
    print(table(found))
    results = arguments.out if arguments.quick else arguments.results
    write_json(results / "scoring.json", {**provenance(), "columns": len(COLUMNS), "rows": found})


def blocks(rows: int) -> Iterator[NDArray[np.float64]]:
    """Standard normal rows with a common factor, the same at every call."""
    rng = np.random.default_rng(0)
    for start in range(0, rows, _BLOCK):
        count = min(_BLOCK, rows - start)
        yield rng.normal(size=(count, 1)) + rng.normal(size=(count, len(COLUMNS)))


def write(path: Path, rows: int) -> None:
    """A file of such rows; the parquet's are one row group, the hardest case."""
    if path.suffix == ".csv":
        with path.open("w", encoding="utf-8") as handle:
            handle.write(",".join(COLUMNS) + "\n")
            for block in blocks(rows):
                np.savetxt(handle, block, fmt="%.6g", delimiter=",")
    elif path.suffix == ".npy":
        array = np.lib.format.open_memmap(path, "w+", np.float64, (rows, len(COLUMNS)))
        for start, block in zip(range(0, rows, _BLOCK), blocks(rows)):
            array[start : start + len(block)] = block
    else:
        frame = pd.DataFrame(np.concatenate(list(blocks(rows))), columns=COLUMNS)
        frame.to_parquet(path, index=False, row_group_size=rows)


def measure(run: Path, kind: str, rows: int, folder: Path) -> dict[str, Any]:
    """Seconds and peak memory of scoring a file, which is removed again."""
    data, out = folder / f"data.{kind}", folder / f"scores.{kind}"
    write(data, rows)
    words = ["score", str(run), "--data", str(data), "--out", str(out), "--overwrite", "--top", "5"]
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", _SCORE, *words], check=True, capture_output=True, text=True)
    entry = {
        "file": kind,
        "rows": rows,
        "megabytes": data.stat().st_size / 1e6,
        "seconds": time.monotonic() - started,
        "peak_megabytes": int(done.stdout.split()[-1]) * 1024 / 1e6,
    }
    for path in (data, out):
        path.unlink()
    return entry


def table(found: list[dict[str, Any]]) -> str:
    """The figures in Markdown."""
    lines = ["| file | rows | size (MB) | peak memory (MB) | seconds |", "|---|---|---|---|---|"]
    lines += [
        f"| .{row['file']} | {row['rows']:,} | {row['megabytes']:.0f} | {row['peak_megabytes']:.0f} | "
        f"{row['seconds']:.0f} |"
        for row in found
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
