"""Rows that a finished run is judged by: read again from its data, or kept in the run where those were in memory."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from contrastive.data.preparation import Prepared, prepare
from contrastive.errors import ContrastiveError
from contrastive.io.checkpoints import read_checkpoint, write_checkpoint
from contrastive.numerics.row_weights import shares
from contrastive.training.run_directory import RunDirectory


@dataclass(frozen=True)
class HeldOut:
    """Rows that were held out for the reported figures.

    Attributes:
        x: in original units.
        labels: their classes, -1 where unknown; None where the run learned none.
        sample_weight: how often each counts, up to a common factor; None for equal weights.
        prepared: all data of the run; None where they were in memory and are gone.
    """

    x: Float[Tensor, "n *event"]
    labels: Int[Tensor, " n"] | None
    sample_weight: Float[Tensor, " n"] | None
    prepared: Prepared | None


def keep_held_out(directory: RunDirectory, data: Prepared) -> None:
    """Write the held-out rows into the run: its data are an array in memory, which no command can read again."""
    tensors = {"x": data.test}
    if data.classes is not None and data.test_labels is not None:
        tensors["labels"] = data.test_labels
    if data.test_weight is not None:
        tensors["sample_weight"] = data.test_weight
    write_checkpoint(directory.held_out_path, tensors, {})


def check_same_weights(directory: RunDirectory, data: Prepared) -> None:
    """Refuse to go on with a run whose weights were in memory without them, or with others.

    Raises:
        ContrastiveError: saying which it was.
    """
    if not directory.held_out_path.exists():
        return
    before, now = read_checkpoint(directory.held_out_path)[0].get("sample_weight"), data.test_weight
    if before is not None and now is None:
        raise ContrastiveError(
            f"{directory.path} was fitted with weights in memory: give them again, "
            f"contrastive.fit(data, sample_weight=w, resume={str(directory.path)!r})"
        )
    if before is None and now is not None:
        raise ContrastiveError(f"{directory.path} was fitted without weights: leave out sample_weight, or fit anew")
    if before is not None and now is not None and not _alike(before, now):
        raise ContrastiveError(f"{directory.path} was fitted with other weights: give the same, or fit anew")


def _alike(before: Tensor, now: Tensor) -> bool:
    """Whether weights are the same up to a factor."""
    return before.shape == now.shape and torch.allclose(shares(before), shares(now), rtol=1e-9)


def read_held_out(directory: RunDirectory, columns: tuple[str, ...] | None) -> HeldOut:
    """The held-out rows of a run, with columns in the order of `columns`.

    Raises:
        ContrastiveError: if the run's data are gone or have changed their columns.
    """
    if directory.held_out_path.exists():
        tensors, _ = read_checkpoint(directory.held_out_path)
        return HeldOut(tensors["x"], tensors.get("labels"), tensors.get("sample_weight"), None)
    config = directory.read_config()
    prepared = prepare(config.data.source, config, columns=columns, rounding_steps=directory.rounding_steps())
    labels = None if prepared.classes is None else prepared.test_labels
    return HeldOut(prepared.test, labels, prepared.test_weight, prepared)
