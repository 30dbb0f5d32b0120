"""Images: reading them, dequantising them, and streaming them to training."""

from contrastive.data.images.arrays import are_images
from contrastive.data.images.grids import image_grid, write_png
from contrastive.data.images.image_set import ImageSet
from contrastive.data.images.options import ImageOptions
from contrastive.data.images.pillow import require_pillow
from contrastive.data.images.pixels import PixelScaling, cell_centres, dequantize, quantize
from contrastive.data.images.reading import names_images, read_images
from contrastive.data.images.source import ImageSource
from contrastive.data.images.torchvision_sets import available_sets

__all__ = [
    "ImageOptions",
    "ImageSet",
    "ImageSource",
    "PixelScaling",
    "are_images",
    "available_sets",
    "cell_centres",
    "dequantize",
    "image_grid",
    "names_images",
    "quantize",
    "read_images",
    "require_pillow",
    "write_png",
]
