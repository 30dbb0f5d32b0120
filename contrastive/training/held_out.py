"""Rows that a finished run is judged by: read again from its data, or kept in the run where those were in memory."""

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from contrastive.data.preparation import Prepared, prepare
from contrastive.io.checkpoints import read_checkpoint, write_checkpoint
from contrastive.training.run_directory import RunDirectory


@dataclass(frozen=True)
class HeldOut:
    """Rows that were held out for the reported figures.

    Attributes:
        x: in original units.
        labels: their classes, -1 where unknown; None where the run learned none.
        prepared: all data of the run; None where they were in memory and are gone.
    """

    x: Float[Tensor, "n *event"]
    labels: Int[Tensor, " n"] | None
    prepared: Prepared | None


def keep_held_out(directory: RunDirectory, data: Prepared) -> None:
    """Write the held-out rows into the run: its data are an array in memory, which no command can read again."""
    tensors = {"x": data.test}
    if data.classes is not None and data.test_labels is not None:
        tensors["labels"] = data.test_labels
    write_checkpoint(directory.held_out_path, tensors, {})


def read_held_out(directory: RunDirectory, columns: tuple[str, ...] | None) -> HeldOut:
    """The held-out rows of a run, with columns in the order of `columns`.

    Raises:
        ContrastiveError: if the run's data are gone or have changed their columns.
    """
    if directory.held_out_path.exists():
        tensors, _ = read_checkpoint(directory.held_out_path)
        return HeldOut(tensors["x"], tensors.get("labels"), None)
    config = directory.read_config()
    prepared = prepare(config.data.source, config, columns=columns, rounding_steps=directory.rounding_steps())
    return HeldOut(prepared.test, None if prepared.classes is None else prepared.test_labels, prepared)
