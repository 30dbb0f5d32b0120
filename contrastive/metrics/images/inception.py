"""Embeddings of the InceptionV3 that FID is defined by."""

from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from contrastive.errors import missing_extra
from contrastive.io.torchvision_import import import_with_torchvision
from contrastive.metrics.images.weights import inception_weights

_ROWS = 32  # at once: 299 x 299 each


class Inception:
    """The 2,048 pooled activations of FID, by torch-fidelity: TensorFlow's network of 2015, resizing included.

    Preprocessing: to 299 x 299, bilinear as in TensorFlow 1 (no half-pixel offset, no antialiasing), then
    (x - 128) / 128. torchmetrics uses this very network; pytorch-fid has the same weights, but shifts by half a pixel
    as it resizes, and its FID differs a little.

    Args:
        weights: file of the weights; by default in torch hub's cache, see `inception_weights`.
        device: where it runs.

    Raises:
        ContrastiveError: if the weights are not there or not those expected, or the extra `images` is not installed.

    References:
        Heusel et al. (2017), "GANs trained by a two time-scale update rule converge to a local Nash equilibrium".
        Obukhov et al. (2020), torch-fidelity. Parmar et al. (2022), "On aliased resizing", on resizing.
    """

    name = "inception"
    version = "6726825d, bilinear 299 as in TensorFlow 1, (x - 128) / 128"
    dimension = 2048

    def __init__(self, weights: str | Path | None = None, device: str | torch.device = "cpu") -> None:
        path = inception_weights(weights)
        try:
            fidelity = import_with_torchvision("torch_fidelity")
        except ImportError as error:
            raise missing_extra("measures of images need", "images", error) from error
        network = fidelity.FeatureExtractorInceptionV3("fid", ["2048"], feature_extractor_weights_path=str(path))
        self._network = network.to(device)
        self._device = torch.device(device)

    @torch.no_grad()
    def __call__(self, images: UInt8[Tensor, "n 3 h w"]) -> Float[Tensor, "n 2048"]:
        """Embeddings, on the network's device."""
        return torch.cat([self._network(part.to(self._device))[0] for part in images.split(_ROWS)])
