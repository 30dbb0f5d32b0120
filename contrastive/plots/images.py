"""Pictures of images: grids, and what a run of images draws."""

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from contrastive.core.estimator import Estimator
from contrastive.data.images import PixelScaling, image_grid, quantize
from contrastive.errors import ContrastiveError
from contrastive.metrics.images.neighbours import nearest_neighbours
from contrastive.numerics.random_state import seeded
from contrastive.plots.neighbours import neighbours_figure
from contrastive.plots.runs import FinishedRun
from contrastive.plots.text import literal
from contrastive.protocols import TemperedNoise
from contrastive.sampling import resample

_ACROSS, _DOWN = 16, 3
_OVERSAMPLING = 20
_COOL = 0.7
_JUDGED = 8  # samples beside their neighbours
_NEAREST = 3
_SEED = 0


@torch.no_grad()
def image_figure(run: FinishedRun) -> Figure:
    """Rows of held-out images, of noise samples, and of samples of the energy: noise draws picked by their weights.

    Where the noise can, also its samples at temperature 0.7, which are no draws of q.
    """
    estimator, n = run.estimator, _ACROSS * _DOWN
    bits = pixel_scaling(estimator).bits
    with seeded(_SEED):
        bands = [("data (held out)", quantize(run.data[:n], bits))]
        bands.append((f"noise ({run.summary['noise']})", quantize(estimator.sample_noise(n), bits)))
        if (cool := _cool_samples(estimator, n)) is not None:
            bands.append((f"noise at temperature {_COOL}: tidier, no draws of q", quantize(cool, bits)))
        if run.summary["method"] != "mle":
            drawn = resample(estimator, n, oversampling=_OVERSAMPLING)
            title = (
                f"energy-based model: {n} of {drawn.proposals} draws of the noise, resampled "
                f"({drawn.effective_sample_size:.1f} effective)"
            )
            bands.append((title, quantize(drawn.x, bits)))
    pictures = [(title, image_grid(images, across=_ACROSS)) for title, images in bands]
    return stacked_figure(pictures, run.title)


@torch.no_grad()
def memory_figure(run: FinishedRun) -> Figure:
    """Samples of the noise, each beside the training images nearest to it: copies would show.

    Raises:
        ContrastiveError: if the run has no training images to show.
    """
    if run.training_images is None:
        raise ContrastiveError(f"the training images of {run.path} are not at hand")
    with seeded(_SEED):
        samples = quantize(run.estimator.sample_noise(_JUDGED), pixel_scaling(run.estimator).bits)
    found = nearest_neighbours(samples, run.training_images, min(_NEAREST, len(run.training_images)))
    title = "noise sample | nearest of the training images, nearest first"
    return neighbours_figure(samples, run.training_images[found.rows], columns=4, title=title)


def stacked_figure(pictures: Sequence[tuple[str, NDArray[np.uint8]]], title: str = "") -> Figure:
    """Pictures of one width below each other, each with its title."""
    inches = 9.3
    heights = [inches * picture.shape[0] / picture.shape[1] for _, picture in pictures]
    figure = Figure(figsize=(inches, sum(heights) + 0.32 * len(pictures) + 0.3), layout="constrained")
    panels = figure.subplots(len(pictures), 1, squeeze=False, height_ratios=heights).flatten()
    for panel, (name, picture) in zip(panels, pictures):
        panel.imshow(picture, interpolation="nearest")
        panel.set_title(literal(name), fontsize=9, loc="left")
        panel.set_axis_off()
    figure.suptitle(literal(title), fontsize=11)
    return figure


def pixel_scaling(estimator: Estimator) -> PixelScaling:
    """The scaling of an estimator of images.

    Raises:
        ContrastiveError: if its data are no images.
    """
    if not isinstance(estimator.scaling, PixelScaling):
        raise ContrastiveError("the data of this run are no images (arrays of uint8, or a folder of pictures)")
    return estimator.scaling


def _cool_samples(estimator: Estimator, n: int) -> Tensor | None:
    noise = estimator.noise
    if not isinstance(noise, TemperedNoise):
        return None
    return estimator.scaling.inverse(noise.sample_at_temperature(torch.Size([n]), _COOL))
