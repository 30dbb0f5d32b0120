"""`contrastive score`."""

import hashlib
import math
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from contrastive import ContrastiveEstimator
from contrastive.api import load
from contrastive.cli.outputs import refuse_existing
from contrastive.cli.rarest import Rarest, table_of
from contrastive.config import changed
from contrastive.data.images import PixelScaling
from contrastive.data.preparation import label_column_in, open_rows
from contrastive.data.tables import TableStream, require_written, write_columns
from contrastive.errors import ContrastiveError, ContrastiveWarning, warn
from contrastive.io.atomic import write_atomically
from contrastive.io.partial import PartialRows
from contrastive.metrics import hdr_level, row_log_probs
from contrastive.numerics.row_weights import resampled
from contrastive.training.held_out import read_held_out
from contrastive.training.run_directory import RunDirectory

_COLUMNS = ("log_p", "log_q", "hdr_level")
_ROWS, _NUMBERS = 50_000, 2_000_000  # at once
_WRITTEN_ROWS = 200_000


def run(
    *,
    run: str,
    data: str,
    columns: str | None,
    out: str,
    top: int,
    resume: bool,
    overwrite: bool,
    allow_import: bool = False,
) -> None:
    """Write log p, log q and the level of the highest-density region of each row of a file, in its order."""
    path = Path(out)
    require_written(path)
    if top < 0:
        raise ContrastiveError(f"--top must be at least 0, got {top}")
    refuse_existing(path, overwrite=overwrite, data=data)
    estimator, directory = load(run, allow_import=allow_import), RunDirectory(run)
    config = directory.read_config()
    refuse_existing(path, overwrite=overwrite, data=config.data.source)
    if isinstance(estimator.scaling, PixelScaling):
        raise ContrastiveError(f"{run} is a run of images: score them in Python, by the estimator's score_samples")
    config = changed(
        config, {"data.columns": columns or config.data.columns, "labels.column": label_column_in(data, config)}
    )
    stream = open_rows(
        data, config, tuple(estimator.noise.event_shape), columns=estimator.columns, scaling=estimator.scaling
    )
    scorer = _scorer(estimator, directory)
    origin = {"data": _identity(data), "columns": stream.columns, **scorer.origin(directory)}
    partial = PartialRows(
        path.with_name(f"{path.name}.partial"), len(_COLUMNS), origin, resume=resume, overwrite=overwrite
    )
    try:
        rarest = _score(stream, scorer, partial, top, data)
        blocks = partial.blocks(_WRITTEN_ROWS)
        write_atomically(path, lambda part: write_columns(part, path.suffix, _COLUMNS, blocks, partial.rows))
    except KeyboardInterrupt:
        if partial.rows:
            print(f"{partial.rows:,} of {stream.rows:,} rows are scored: go on with --resume", file=sys.stderr)
        raise
    finally:
        partial.close()
    partial.remove()
    print(f"{stream.rows:,} rows: {path}\n{scorer.described(run)}")
    if top:
        names = estimator.columns or stream.columns  # an array's columns have no names of their own
        others = None if scorer.held_out is None else resampled(scorer.held_out, scorer.held_out_weight)
        print(table_of(rarest, estimator, others, scorer.log_normalizer, names))


@dataclass(frozen=True)
class _Scorer:
    """What a row is scored by.

    Attributes:
        estimator: of the run.
        log_normalizer: log Z, one entry or one for each class.
        is_upper_end: whether that is the upper end of an interval, and not the learned c.
        held_out: rows of the run; None where its data are gone.
        held_out_log_p: of these rows.
        held_out_weight: of these rows, where the run has weights.
        verdict: on the interval.
    """

    estimator: ContrastiveEstimator
    log_normalizer: Tensor
    is_upper_end: bool
    held_out: Tensor | None
    held_out_log_p: Tensor | None
    held_out_weight: Tensor | None
    verdict: str

    def scores(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """`_COLUMNS` of each row."""
        log_p, log_q = row_log_probs(self.estimator, torch.from_numpy(x), self.log_normalizer)
        level = torch.full_like(log_p, torch.nan)
        if self.held_out_log_p is not None:
            level = hdr_level(log_p, self.held_out_log_p, self.held_out_weight)
        return torch.stack([log_p, log_q, level], dim=1).numpy()

    def origin(self, directory: RunDirectory) -> dict[str, Any]:
        """What scores depend on beside the rows."""
        held_out = None if self.held_out_log_p is None else self.held_out_log_p.numpy().tobytes()
        weights = {} if self.held_out_weight is None else {"weights": self.held_out_weight.tolist()}
        return {
            "model": hashlib.sha256(directory.model_path.read_bytes()).hexdigest(),
            "log_normalizer": self.log_normalizer.tolist(),
            "held_out": None if held_out is None else hashlib.sha256(held_out).hexdigest(),
            **weights,
        }

    def described(self, run: str) -> str:
        """By which log Z log p is normalised, and what the level is a share of."""
        c = ", ".join(f"{value:.4f}" for value in self.estimator.log_normalizer.reshape(-1).tolist())
        high = ", ".join(f"{value:.4f}" for value in self.log_normalizer.tolist())
        how = (
            f"log_p: f less {high}, the upper end of log Z's interval ({self.verdict}); the learned c is {c}"
            if self.is_upper_end
            else f"log_p: by the learned c = {c}, no proven log Z; contrastive normalizer {run} gives an interval"
        )
        if self.held_out_log_p is None:
            return how
        by_weight = "" if self.held_out_weight is None else ", by weight,"
        rows = f"{len(self.held_out_log_p):,} held-out rows"
        return f"{how}\nhdr_level: share{by_weight} of the run's {rows} that are more likely"


def _scorer(estimator: ContrastiveEstimator, directory: RunDirectory) -> _Scorer:
    summary = directory.read_newest_summary()
    high, verdict = summary.get("log_partition_high"), summary.get("log_partition_verdict", "")
    ends = high if isinstance(high, list) else [high]
    is_upper_end = all(end is not None and math.isfinite(end) for end in ends)
    log_normalizer = torch.tensor(ends).double() if is_upper_end else estimator.log_normalizer.detach().reshape(-1)
    held_out, log_p, weight = None, None, None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ContrastiveWarning)  # about the run's own data
            kept = read_held_out(directory, estimator.columns)
        held_out, weight = kept.x, kept.sample_weight
        log_p, _ = row_log_probs(estimator, held_out, log_normalizer)
    except ContrastiveError as error:
        warn(f"hdr_level stays empty, the run's held-out rows are gone: {error}")
    verdicts = verdict if isinstance(verdict, list) else [verdict]
    said = "doubtful" if any(each.startswith("doubtful") for each in verdicts) else "reliable"
    return _Scorer(estimator, log_normalizer.double(), is_upper_end, held_out, log_p, weight, said)


def _score(stream: TableStream, scorer: _Scorer, partial: PartialRows, top: int, data: str) -> Rarest:
    """Score the rows that `partial` does not hold yet; the `top` least likely of all."""
    rows = max(1, min(_ROWS, _NUMBERS // math.prod(stream.event_shape)))
    rarest, seen = Rarest(top), 0
    incomplete, undefined, first = 0, 0, 0
    with tqdm(total=stream.rows, unit="row", unit_scale=True, disable=not sys.stderr.isatty()) as bar:
        for x in stream.blocks(rows):
            done = partial.read(seen, seen + len(x))
            scores = done if len(done) == len(x) else np.concatenate([done, scorer.scores(x[len(done) :])])
            partial.append(scores[len(done) :])
            missing = ~np.isfinite(x.reshape(len(x), -1)).all(1)
            if missing.any() and not incomplete:
                first = seen + int(missing.argmax()) + 1
            incomplete += int(missing.sum())
            undefined += int((np.isnan(scores[:, 0]) & ~missing).sum())
            rarest.add(scores, x, seen)
            seen += len(x)
            bar.update(len(x))
    if seen != stream.rows or partial.rows != stream.rows:
        raise ContrastiveError(f"{data} has changed while it was read: {stream.rows:,} rows became {seen:,}")
    if incomplete:
        warn(
            f"{data}: {incomplete:,} of {seen:,} rows have missing or infinite entries, the first is row {first:,}; "
            "their cells are empty"
        )
    if undefined:
        warn(f"{data}: log p of {undefined:,} rows is not a number: their entries are too far from the training data")
    return rarest


def _identity(data: str) -> list[Any]:
    """Of a file: where it is, its size and when it was written."""
    path = Path(data).resolve()
    there = path.stat()
    return [str(path), there.st_size, there.st_mtime_ns]
