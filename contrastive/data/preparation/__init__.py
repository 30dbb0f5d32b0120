"""Preparation of data: from what `fit` takes to a stream of batches, held-out rows and labels."""

from contrastive.data.preparation.images import images_of
from contrastive.data.preparation.new_rows import label_column_in, open_rows, read_rows
from contrastive.data.preparation.prepare import holds_images, prepare
from contrastive.data.preparation.prepared import Prepared

__all__ = ["Prepared", "holds_images", "images_of", "label_column_in", "open_rows", "prepare", "read_rows"]
