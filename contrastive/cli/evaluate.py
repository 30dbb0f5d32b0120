"""`contrastive evaluate`."""

import json as _json
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from contrastive import ContrastiveEstimator
from contrastive.api import load
from contrastive.cli.goodness import goodness_of_run
from contrastive.config import FitConfig, changed
from contrastive.data.densities import available_densities, make_density
from contrastive.data.images import ImageSource, PixelScaling, quantize
from contrastive.data.preparation import (
    TEST_SEED,
    Prepared,
    described_steps,
    label_column_in,
    read_rows,
    read_weights,
    spread_rows,
)
from contrastive.data.sources import ArraySource
from contrastive.errors import ContrastiveError
from contrastive.io.checkpoints import finite_or_none
from contrastive.metrics import classification, evaluate, normalized_figures
from contrastive.metrics.conditional import conditional_figures
from contrastive.metrics.images import default_cache
from contrastive.metrics.images import image_distances as distances_between
from contrastive.numerics.random_state import seeded
from contrastive.numerics.row_weights import effective_size, thinned
from contrastive.training.held_out import read_held_out
from contrastive.training.run_directory import RunDirectory

_LEVEL = 0.05


def run(
    *,
    run: str,
    data: str | None,
    columns: str | None,
    label_column: str | None,
    standard_errors: bool,
    goodness: bool,
    goodness_level: float | None,
    goodness_plot: str | None,
    image_distances: int | None,
    inception_weights: str | None,
    json: bool,
    allow_import: bool = False,
) -> None:
    """Print the metrics of a finished run at data."""
    if not goodness and (goodness_level is not None or goodness_plot is not None):
        raise ContrastiveError("--goodness-level and --goodness-plot are for --goodness")
    estimator, directory = load(run, trainable=standard_errors, allow_import=allow_import), RunDirectory(run)
    config = directory.read_config()
    own = data is None and config.data.source not in available_densities()
    held_out = read_held_out(directory, estimator.columns) if own else None
    name = data or config.data.source
    summary = directory.read_newest_summary()
    prepared = None if held_out is None else held_out.prepared
    if held_out is not None:
        x, y, weight = held_out.x, held_out.labels, held_out.sample_weight
    else:
        labels = label_column or label_column_in(name, config)
        config = changed(config, {"data.columns": columns or config.data.columns, "labels.column": labels})
        x, y = read_rows(
            name,
            config,
            tuple(estimator.noise.event_shape),
            columns=estimator.columns,
            classes=summary.get("classes"),
            scaling=estimator.scaling,
        )
        x = _spread(x, summary)
        weight = read_weights(name, config, len(x))
        x, y, weight = _counted(x, y, weight, name, config, summary)
    truth = make_density(name) if name in available_densities() else None
    metrics = evaluate(estimator, x, truth, sample_weight=weight)
    if y is not None:
        metrics |= classification(estimator, x, y, weight)
    upper = summary.get("log_partition_high")
    if upper is not None:
        high = torch.tensor(upper, dtype=torch.float64).reshape(-1)
        metrics |= {"log_partition_high": upper, **normalized_figures(estimator, x, high, weight)}
    if estimator.scaling.num_given and estimator.num_classes is None:
        with seeded(0):
            metrics |= conditional_figures(estimator, x, weight)
    metrics = finite_or_none(metrics) | {"rows": len(x)}
    if weight is not None:
        metrics["effective_rows"] = effective_size(weight, len(x))
    if image_distances is not None:
        metrics |= _image_distances(estimator, prepared, image_distances, inception_weights)
    elif inception_weights is not None:
        raise ContrastiveError("--inception-weights is for --image-distances N: how many samples?")
    errors = None
    if standard_errors:
        errors = estimator.standard_errors(x if data is not None else _training_rows(name, prepared))
    tested = None
    if goodness:
        place = None if goodness_plot is None else Path(goodness_plot)
        level = _LEVEL if goodness_level is None else goodness_level
        x = x if weight is None else x[thinned(weight)]  # copies of a row would be taken for evidence
        tested = goodness_of_run(directory, estimator, x, level=level, plot=place, keep=data is None)
    if json:
        more = {} if errors is None else {"parameters": errors.to_dict()}
        more |= {} if tested is None else {"goodness": finite_or_none(tested.to_dict())}
        print(_json.dumps(metrics | more))
        return
    width = max(map(len, metrics))
    for key, value in metrics.items():
        print(f"{key:{width}}  {value:.6g}" if isinstance(value, float) else f"{key:{width}}  {value}")
    if errors is not None:
        print(f"\n{errors}\n({errors.n:,} rows; efficiency: the variance of maximum likelihood over this one)")
    if tested is not None:
        print(f"\n{tested}")


def _spread(x: Tensor, summary: dict[str, Any]) -> Tensor:
    """New rows, spread over the rounding steps of the fit by the same uniform noise at every call, which is said."""
    steps: dict[str, float] = summary.get("dequantized") or {}
    if not steps:
        return x
    print(f"spread over the rounding steps of the fit: {described_steps(steps)}", file=sys.stderr)
    return spread_rows(x, summary["columns"], steps, TEST_SEED)


def _counted(
    x: Tensor, y: Tensor | None, weight: Tensor | None, name: str, config: FitConfig, summary: dict[str, Any]
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """New rows without those of weight 0, their labels and weights; it is said where a weighted run finds none."""
    if weight is None:
        if config.data.weight_column or "effective_train_rows" in summary:
            column = f"no column {config.data.weight_column!r}" if config.data.weight_column else "no column of weights"
            print(f"{name} has {column}: every row counts the same", file=sys.stderr)
        return x, y, None
    kept = weight > 0
    return x[kept], None if y is None else y[kept], weight[kept]


def _image_distances(
    estimator: ContrastiveEstimator, prepared: Prepared | None, n: int, inception_weights: str | None
) -> dict[str, float]:
    """Of `n` samples of the noise from as many training images."""
    scaling = estimator.scaling
    if prepared is None or not isinstance(scaling, PixelScaling) or not isinstance(prepared.row_source, ImageSource):
        raise ContrastiveError("--image-distances is for runs of images, against the images that they were fitted to")
    if n < 2:
        raise ContrastiveError(f"--image-distances must be at least 2, got {n}")
    with seeded(0):
        samples = quantize(estimator.sample_noise(n), scaling.bits)
    training = prepared.row_source.pixels(torch.arange(len(prepared.row_source.rows)))
    network = "efficientnet-lite0" if inception_weights is None else "inception"
    settings: dict[str, Any] = {"limit": n, "weights": inception_weights, "cache": default_cache(), "progress": True}
    return distances_between(samples, training, network, **settings)


def _training_rows(name: str, prepared: Prepared | None) -> Tensor:
    """What the run was fitted to, in original units."""
    source = None if prepared is None else prepared.row_source
    if prepared is None or not isinstance(source, ArraySource):
        raise ContrastiveError(
            f"{name} gives fresh draws at every step, so there is no number of rows that the errors are for; "
            "name a file with --data"
        )
    return prepared.scaling.inverse(source.z)
