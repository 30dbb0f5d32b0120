"""Figures and grids for TensorBoard."""

from pathlib import Path
from typing import Any

from contrastive.errors import missing_extra
from contrastive.training.callbacks import Callback, Running
from contrastive.training.sample_grids import SampleGrids


class TensorBoard(Callback):
    """Writes every number of an evaluation, and the newest grid of samples, over updates.

    Args:
        folder: of the event files.
        grids: what draws the grids, called before; None where the data are no images.
    """

    def __init__(self, folder: Path, grids: SampleGrids | None = None) -> None:
        self.folder, self.grids = folder, grids
        self.writer: Any = None

    def on_evaluation(self, trainer: Running, metrics: dict[str, Any]) -> None:
        """Write one evaluation.

        Raises:
            ContrastiveError: if tensorboard is not installed.
        """
        updates = metrics["updates"]
        if self.writer is None:
            # A resumed run makes its last evaluations again: the old ones are to go.
            self.writer = _writer_class()(str(self.folder), purge_step=updates)
        for name, value in metrics.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                self.writer.add_scalar(name, value, updates)
        if self.grids is not None and self.grids.newest is not None:
            self.writer.add_image("samples", self.grids.newest, updates, dataformats="HWC")
        self.writer.flush()


def require_tensorboard() -> None:
    """Refuse a run that could not write.

    Raises:
        ContrastiveError: if tensorboard is not installed.
    """
    _writer_class()


def _writer_class() -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        absent = ModuleNotFoundError(str(error), name="tensorboard")  # torch's own error names it only in words
        raise missing_extra("the option tensorboard needs", "tensorboard", absent) from error
    return SummaryWriter
