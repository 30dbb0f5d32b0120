"""`contrastive predict`."""

import csv
import io
from pathlib import Path

import numpy as np
import torch

from contrastive.api import load
from contrastive.cli.outputs import refuse_existing
from contrastive.config import changed
from contrastive.data.preparation import label_column_in, read_rows
from contrastive.errors import ContrastiveError
from contrastive.io.atomic import write_atomically
from contrastive.metrics.classification import predict_log_proba
from contrastive.training.run_directory import RunDirectory

_ROWS = 10_000  # at once


def run(*, run: str, data: str, columns: str | None, out: str, overwrite: bool, allow_import: bool = False) -> None:
    """Write the class of each row, the probabilities of all classes, and log p."""
    path = Path(out)
    if path.suffix not in (".csv", ".npz"):
        raise ContrastiveError(f"--out {out}: expected a .csv or .npz file")
    refuse_existing(path, overwrite=overwrite, data=data)
    estimator, directory = load(run, allow_import=allow_import), RunDirectory(run)
    classes, config = directory.read_summary().get("classes"), directory.read_config()
    if classes is None:
        raise ContrastiveError(f"{run} was fitted without labels, so it has no classes; fit with --label-column")
    shape = tuple(estimator.noise.event_shape)
    asked = {"data.columns": columns or config.data.columns, "labels.column": label_column_in(data, config)}
    config = changed(config, {**asked, "labels.per_class": -1})
    x, _ = read_rows(data, config, shape, columns=estimator.columns, scaling=estimator.scaling)
    with torch.no_grad():
        proba = predict_log_proba(estimator, x).exp().numpy()
        log_p = torch.cat([estimator.log_prob(part).cpu() for part in x.split(_ROWS)]).double().numpy()
    labels = [classes[k] for k in proba.argmax(1)]
    content = _npz(classes, labels, proba, log_p) if path.suffix == ".npz" else _csv(classes, labels, proba, log_p)
    write_atomically(path, lambda part: part.write_bytes(content))
    print(f"{len(x)} rows, classes {', '.join(map(str, classes))}: {path}")


def _csv(classes: list[str | int], labels: list[str | int], proba: np.ndarray, log_p: np.ndarray) -> bytes:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["label", *(f"probability of {name}" for name in classes), "log_p"])
    for label, row, log_density in zip(labels, proba, log_p):
        writer.writerow([label, *(f"{p:.9g}" for p in row), f"{log_density:.9g}"])
    return buffer.getvalue().encode()


def _npz(classes: list[str | int], labels: list[str | int], proba: np.ndarray, log_p: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, label=np.array(labels), classes=np.array(classes), probabilities=proba, log_p=log_p)
    return buffer.getvalue()
