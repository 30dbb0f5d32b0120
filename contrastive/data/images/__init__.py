"""Images: reading them, dequantising them, and streaming them to training."""

from contrastive.data.images.arrays import are_images
from contrastive.data.images.image_set import ImageSet
from contrastive.data.images.options import ImageOptions
from contrastive.data.images.pixels import PixelScaling, dequantize, quantize
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
    "dequantize",
    "names_images",
    "quantize",
    "read_images",
]
