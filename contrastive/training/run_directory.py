"""What a run leaves on disk, all of it written atomically.

run.json                 that this is a run, and of which version of the format and of the package
config.yaml              the resolved settings; `contrastive fit --config` runs them again
found.json               what was decided before training: candidates of the noise, the gain, rounding steps
metrics.jsonl            one line an evaluation
checkpoint.safetensors   everything that training needs to go on, newest
best.safetensors         the estimator with the best held-out score (early stopping only)
best-STAGE.safetensors   the same of an earlier stage, such as maximum likelihood before the contrast
model.safetensors        the finished estimator
summary.json             the figures of the finished run
held-out.safetensors     rows that were held out, of a run whose data were an array in memory
normalizer.json          log Z with its interval (`contrastive normalizer`)
goodness.json            held-out rows against samples of the model (`contrastive evaluate --goodness`)
report.html, plots/      what `contrastive fit` shows of it
plots/samples/           of images: a grid of the noise's samples at each evaluation
tensorboard/             the same for TensorBoard, where that was asked for

`run_files` has the patterns of their names: nothing else in the directory is ever deleted. `estimator.save` writes the
first two, the finished estimator and its figures.
"""

import json
from pathlib import Path
from typing import Any

import yaml
from torch import Tensor

from contrastive.config import FitConfig, by_path, read_config, to_sections
from contrastive.errors import ContrastiveError
from contrastive.io.checkpoints import (
    check_finite,
    finite_or_none,
    read_checkpoint,
    write_checkpoint,
    write_json,
    write_text,
)
from contrastive.training.run_files import holds_nothing, leftovers, not_a_run, removable, remove, write_marker

#: Figures that earlier versions wrote under another name.
_RENAMED_FIGURES = {"data_share": "relative_ess"}


class RunDirectory:
    """Paths and files of one run.

    Args:
        path: the directory; it need not exist.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.config_path = self.path / "config.yaml"
        self.metrics_path = self.path / "metrics.jsonl"
        self.checkpoint_path = self.path / "checkpoint.safetensors"
        self.best_path = self.path / "best.safetensors"
        self.model_path = self.path / "model.safetensors"
        self.summary_path = self.path / "summary.json"
        self.found_path = self.path / "found.json"
        self.held_out_path = self.path / "held-out.safetensors"
        self.normalizer_path = self.path / "normalizer.json"
        self.goodness_path = self.path / "goodness.json"
        self.goodness_plot_path = self.path / "plots" / "goodness.png"
        self.samples_path = self.path / "plots" / "samples"
        self.tensorboard_path = self.path / "tensorboard"
        self.metrics: list[dict[str, Any]] = []

    def best_of(self, stage: str) -> Path:
        """Where the best state of a stage before the last is kept."""
        return self.path / f"best-{stage}.safetensors"

    @property
    def is_finished(self) -> bool:
        """Whether the run came to its end."""
        return self.summary_path.exists()

    def check_free(self, *, overwrite: bool = False, data: str | None = None) -> None:
        """Refuse a place that holds something already; nothing is touched.

        Args:
            overwrite: whether a run may be there, and be replaced.
            data: file or folder that the new run is to read.

        Raises:
            ContrastiveError: if the directory is not empty and `overwrite` is not set, or it holds no run, or not all
                of the run can be taken away (`removable`).
        """
        self._to_remove(overwrite, data)

    def _to_remove(self, overwrite: bool, data: str | None) -> list[Path]:
        """The files that have to go before a new run begins."""
        try:
            if self.path.exists() and not self.path.is_dir():
                raise ContrastiveError(f"{self.path} is a file, not a directory; choose another directory")
            if not self.path.exists() or not any(self.path.iterdir()):
                return []
            if not holds_nothing(self.path):
                self._refuse_what_is_there(overwrite)
            return removable(self.path, data)
        except OSError as error:
            raise ContrastiveError(f"cannot look into {self.path}: {error}; choose another directory") from error

    def _refuse_what_is_there(self, overwrite: bool) -> None:
        """Refuse a directory that is not empty, unless it is a run and may be replaced."""
        if not overwrite:
            unfinished = self.config_path.exists() and not self.is_finished
            raise ContrastiveError(
                f"{self.path} exists already; {f'go on with --resume {self.path}, ' if unfinished else ''}replace it "
                "with --overwrite (in Python overwrite=True), or choose another directory"
            )
        if (why := not_a_run(self.path)) is not None:
            raise ContrastiveError(
                f"{self.path} is not a run ({why}); --overwrite will not empty it, choose another directory"
            )

    def create(self, config: FitConfig, *, overwrite: bool = False) -> None:
        """Start an empty run; see `check_free` for what is refused.

        Of a run that is replaced only its own files go: whatever else lies there stays.
        """
        files = self._to_remove(overwrite, config.data.source)
        write_marker(self.path)
        remove(self.path, files)
        write_text(self.config_path, yaml.safe_dump(to_sections(config), sort_keys=False))

    def write_found(self, found: dict[str, Any]) -> None:
        """Keep figures of what was decided before training; nothing for none."""
        if found:
            write_json(self.found_path, found)

    def read_found(self) -> dict[str, Any]:
        """The inverse of `write_found`."""
        if not self.found_path.exists():
            return {}
        found: dict[str, Any] = json.loads(self.found_path.read_text(encoding="utf-8"))
        return found

    def rounding_steps(self) -> dict[str, float] | None:
        """Of the columns that were spread over them before the fit; None where the run does not say."""
        found = self.read_found()
        if "dequantized" not in found and self.is_finished:  # one that `estimator.save` wrote has no found.json
            found = self.read_summary()
        steps: dict[str, float] | None = found.get("dequantized")
        return steps

    def read_config(self) -> FitConfig:
        """The settings of this run.

        Raises:
            ContrastiveError: if this is no run directory.
        """
        if not self.config_path.exists():
            raise ContrastiveError(f"{self.path} is not a run: it has no config.yaml")
        return read_config(self.config_path)

    def record(self, metrics: dict[str, Any]) -> None:
        """Add one evaluation to metrics.jsonl."""
        self.metrics.append(finite_or_none(metrics))
        self._write_metrics()

    def rewind(self, updates: int) -> None:
        """Forget the evaluations after `updates`, which a resumed run will make again, and half-written files."""
        remove(self.path, leftovers(self.path))
        self.metrics = [line for line in self.read_metrics() if line["updates"] <= updates]
        self._write_metrics()

    def read_metrics(self) -> list[dict[str, Any]]:
        """The evaluations so far."""
        if not self.metrics_path.exists():
            return []
        return [json.loads(line) for line in self.metrics_path.read_text(encoding="utf-8").splitlines()]

    def sample_grids(self) -> list[Path]:
        """The grids of samples so far, oldest first."""
        return sorted(self.samples_path.glob("*.png"), key=lambda path: (len(path.stem), path.stem))

    def read_summary(self) -> dict[str, Any]:
        """summary.json.

        Raises:
            ContrastiveError: if the run is not finished.
        """
        if not self.summary_path.exists():
            raise ContrastiveError(f"{self.path} has no summary.json: finish it with --resume {self.path}")
        summary: dict[str, Any] = json.loads(self.summary_path.read_text(encoding="utf-8"))
        return _by_present_names(summary)

    def write_summary(self, summary: dict[str, Any]) -> None:
        """Write summary.json."""
        write_json(self.summary_path, summary)

    def read_newest_summary(self) -> dict[str, Any]:
        """summary.json, its figures of log Z replaced by those of normalizer.json where that was made later."""
        summary = self.read_summary()
        if not self.normalizer_path.exists():
            return summary
        kept: dict[str, Any] = json.loads(self.normalizer_path.read_text(encoding="utf-8"))
        return {
            **summary,
            **{key: value for key, value in kept.items() if key.startswith(("log_partition", "test_", "bits_per_dim"))},
        }

    def read_goodness_verdict(self) -> str:
        """The sentence of goodness.json; empty where the test was not run."""
        if not self.goodness_path.exists():
            return ""
        return str(json.loads(self.goodness_path.read_text(encoding="utf-8"))["verdict"])

    def write_model(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        """Write the finished estimator."""
        write_checkpoint(self.model_path, tensors, state)

    def write_finished(self, config: FitConfig, tensors: dict[str, Tensor], summary: dict[str, Any]) -> None:
        """Write the finished estimator and its figures, the last of a run."""
        self.write_model(tensors, {"config": by_path(config), "summary": summary})
        self.write_summary(summary)

    def keep(
        self, config: FitConfig, tensors: dict[str, Tensor], summary: dict[str, Any], *, overwrite: bool = False
    ) -> None:
        """A whole run at once, of an estimator that is finished; see `check_free` for what is refused.

        Raises:
            ContrastiveError: so, or if a tensor is not finite; nothing is touched then.
        """
        check_finite(self.model_path, tensors)
        self.create(config, overwrite=overwrite)
        self.write_finished(config, tensors, summary)

    def read_model(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The finished estimator's tensors, and `config` and `summary` as they were written with them.

        Raises:
            ContrastiveError: if the run is not finished or the file is damaged.
        """
        if not self.model_path.exists() and self.config_path.exists():
            raise ContrastiveError(f"{self.path} is not finished: go on with contrastive fit --resume {self.path}")
        tensors, state = read_checkpoint(self.model_path)
        if "summary" in state:
            state["summary"] = _by_present_names(state["summary"])
        return tensors, state

    def _write_metrics(self) -> None:
        write_text(self.metrics_path, "".join(json.dumps(line) + "\n" for line in self.metrics))


def _by_present_names(summary: dict[str, Any]) -> dict[str, Any]:
    return {_RENAMED_FIGURES.get(name, name): value for name, value in summary.items()}
