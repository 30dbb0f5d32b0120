"""Networks that embed images as vectors, and running them over many images."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from torch import Tensor

from contrastive.errors import ContrastiveError, did_you_mean

_ROWS = 256  # at once

#: What the measures take: all images, or batches of them; uint8, shape `(n, 3, h, w)` or `(n, 1, h, w)`.
Images = Tensor | NDArray[np.uint8] | Iterable[Tensor | NDArray[np.uint8]]


class EmbeddingNetwork(Protocol):
    """A frozen network; any object of this shape will do.

    Attributes:
        name: measures over its embeddings are reported as `fd_<name>` and `kd_<name>`.
        version: names its weights and its preprocessing; statistics cached under another version are not used.
        dimension: entries of an embedding.
    """

    name: str
    version: str
    dimension: int

    def __call__(self, images: UInt8[Tensor, "n 3 h w"]) -> Float[Tensor, "n d"]:
        """Embeddings of each image; resizing and scaling is the network's own affair."""


def make_network(
    name: str, *, device: str | torch.device = "cpu", weights: str | Path | None = None
) -> EmbeddingNetwork:
    """An embedding network by its name: `efficientnet-lite0`, or `inception` for the field's FID.

    Args:
        name: of the network.
        device: where it runs.
        weights: InceptionV3's file of weights; see `Inception`.

    Raises:
        ContrastiveError: if the name is unknown, the extra `images` is not installed, or weights are missing.
    """
    # Imported here: the networks come with an extra, and this module is needed without it.
    from contrastive.metrics.images.efficientnet import EfficientNetLite0
    from contrastive.metrics.images.inception import Inception

    makers: dict[str, Callable[[], EmbeddingNetwork]] = {
        "efficientnet-lite0": lambda: EfficientNetLite0(device),
        "inception": lambda: Inception(weights, device),
    }
    if name not in makers:
        raise ContrastiveError(f"there is no embedding network {name!r}; {did_you_mean(name, makers)}")
    return makers[name]()


def embed(images: Images, network: EmbeddingNetwork) -> Float[Tensor, "n d"]:
    """Embeddings of all images, on the CPU; for nearest neighbours in embedding space, say.

    Raises:
        ContrastiveError: if they are not uint8 images.
    """
    return torch.cat([network(batch).cpu() for batch in image_batches(images)])


def image_batches(images: Images) -> Iterator[UInt8[Tensor, "b 3 h w"]]:
    """Batches of colour images; gray ones get three equal channels.

    Raises:
        ContrastiveError: if they are not uint8 images.
    """
    batches = [images] if isinstance(images, Tensor | np.ndarray) else images
    for batch in batches:
        if not isinstance(batch, Tensor | np.ndarray):
            raise ContrastiveError(f"expected batches of images, tensors or arrays, not {type(batch).__name__}")
        tensor = torch.as_tensor(batch)
        if tensor.dtype != torch.uint8 or tensor.ndim != 4 or tensor.shape[1] not in (1, 3):
            kind = str(tensor.dtype).removeprefix("torch.")
            raise ContrastiveError(
                f"image measures need uint8 images of shape (n, 3, h, w) or (n, 1, h, w), not {kind} of shape "
                f"{tuple(tensor.shape)}: scale to 0..255, round, clip and convert first"
            )
        for part in tensor.split(_ROWS):
            yield part.expand(-1, 3, -1, -1)
