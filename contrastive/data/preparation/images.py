"""Preparation of images: splits, dequantised held-out rows, the training stream."""

import math
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from contrastive.config import FitConfig
from contrastive.data.images import ImageOptions, ImageSet, ImageSource, PixelScaling, dequantize, read_images
from contrastive.data.images.arrays import from_array
from contrastive.data.images.source import gather
from contrastive.data.preparation.prepared import Prepared
from contrastive.data.preparation.splits import (
    FITTING_SEED,
    HELD_OUT_ROWS,
    TEST_SEED,
    VALIDATION_SEED,
    Portions,
    choose_batch_size,
    validation_rows,
)
from contrastive.errors import ContrastiveError

_VALIDATION_IMAGES = 1_000
_FITTING_IMAGES, _FITTING_NUMBERS = 10_000, 32_000_000
_BATCH_SIZE = 64
_SPLIT_SEED = 1_000_004  # of every run: one that begins with another's noise must not test on what that was fitted to


def images_of(data: Any, config: FitConfig) -> ImageSet:
    """The images that a string names, or that an array of them is.

    Raises:
        ContrastiveError: if they cannot be read.
    """
    options = ImageOptions(
        root=Path(config.data.images.root),
        name=config.data.columns or None,
        size=config.data.images.size or None,
        crop=config.data.images.crop,
        color=None if config.data.images.color == "original" else config.data.images.color,
        progress=sys.stderr.isatty(),
    )
    if isinstance(data, str):
        return read_images(data, options)
    return from_array(data.cpu().numpy() if isinstance(data, Tensor) else data, options)


def prepare_images(images: ImageSet, config: FitConfig, device: torch.device) -> Prepared:
    """Training images as a stream, the others dequantised once.

    The test images are those that the set keeps for it, else a random share, the same for every run.

    Raises:
        ContrastiveError: if `standardize` is asked for, or the images are too few.
    """
    if config.data.standardize:
        raise ContrastiveError(
            "images are not standardised, their scaling is that of the pixels: leave out --standardize"
        )
    portions = _split(images, config)
    scaling = PixelScaling(images.event_shape, bits=config.data.images.bits, logit=config.data.images.logit or None)
    source = ImageSource(images, scaling, rows=portions.train, flip=config.data.images.flip, device=device)
    kept = images if images.test is None else images.test
    test_rows = portions.test[: config.data.test_rows or HELD_OUT_ROWS]
    most = min(_FITTING_IMAGES, max(100, _FITTING_NUMBERS // math.prod(images.event_shape)))
    fitting = source.dequantized(most, torch.Generator().manual_seed(FITTING_SEED + config.run.seed))
    return Prepared(
        source=source,
        scaling=scaling,
        fitting=scaling(fitting).to(device),
        validation=_held_out(images, portions.validation, config.data.images.bits, VALIDATION_SEED),
        test=_held_out(kept, test_rows, config.data.images.bits, TEST_SEED),
        batch_size=choose_batch_size(len(portions.train), config, _BATCH_SIZE),
        truth=None,
        columns=[],
        standardize=False,
        validation_share=len(portions.validation) / len(images),
        labels=source.labels,
        test_labels=None if kept.labels is None else torch.from_numpy(kept.labels)[test_rows],
    )


def read_image_rows(images: ImageSet, config: FitConfig) -> tuple[Tensor, Tensor | None]:
    """Dequantised images to evaluate a finished run on, and their labels where they have some.

    They are the set's test part, or all; at most `test_rows`.
    """
    kept = images if images.test is None else images.test
    rows = _shuffled(len(kept))[: config.data.test_rows or HELD_OUT_ROWS]
    labels = None if kept.labels is None else torch.from_numpy(kept.labels)[rows]
    return _held_out(kept, rows, config.data.images.bits, TEST_SEED), labels


def _split(images: ImageSet, config: FitConfig) -> Portions:
    n = len(images)
    validation = min(validation_rows(n, config, fewest=0), _VALIDATION_IMAGES)  # an image has many numbers
    test = 0 if images.test is not None else min(HELD_OUT_ROWS, round(config.data.test * n))
    if (images.test is None and not test) or (config.run.early_stopping and not validation) or validation + test >= n:
        raise ContrastiveError(
            f"{n} images leave none to train, validate or test with: give more, or other --validation and --test"
        )
    parts = _shuffled(n).split([validation, test, n - validation - test])
    if images.test is not None:
        return Portions(parts[0], _shuffled(len(images.test)), parts[2])
    return Portions(*parts)


def _shuffled(n: int) -> Tensor:
    return torch.randperm(n, generator=torch.Generator().manual_seed(_SPLIT_SEED))


def _held_out(images: ImageSet, rows: Tensor, bits: int, seed: int) -> Tensor:
    return dequantize(gather(images.pixels, rows), bits, torch.Generator().manual_seed(seed))
