"""Preparation of data: from what `fit` takes to a stream of batches, held-out rows and labels."""

from contrastive.data.preparation.collinear import dependent_columns, describe_dependent
from contrastive.data.preparation.copies import are_many, describe_copies
from contrastive.data.preparation.images import images_of
from contrastive.data.preparation.new_rows import label_column_in, open_rows, read_rows
from contrastive.data.preparation.prepare import holds_images, prepare
from contrastive.data.preparation.prepared import Prepared
from contrastive.data.preparation.splits import TEST_SEED
from contrastive.data.preparation.ties import describe_spread, describe_ties, described_steps, spread_rows
from contrastive.data.preparation.weights import read_weights

__all__ = [
    "TEST_SEED",
    "Prepared",
    "are_many",
    "dependent_columns",
    "describe_copies",
    "describe_dependent",
    "describe_spread",
    "describe_ties",
    "described_steps",
    "holds_images",
    "images_of",
    "label_column_in",
    "open_rows",
    "prepare",
    "read_rows",
    "read_weights",
    "spread_rows",
]
