"""`fit`, `load`, and `ContrastiveEstimator`: the core together with what uses it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor
from torch.distributions import Distribution

from contrastive.config import FitConfig, changed, configure, flattened, shown
from contrastive.config.keywords import Keywords
from contrastive.core.estimator import Estimator
from contrastive.data.images import PixelScaling
from contrastive.data.points import Rows
from contrastive.data.preparation.given import given_columns, joined, names_columns
from contrastive.data.preparation.prepared import frozen_gaussian
from contrastive.data.scaling import Coordinates, Scaling
from contrastive.data.schema import TableScaling
from contrastive.data.schema.frames import to_frame
from contrastive.data.tables import has_named_columns
from contrastive.data.tables.frames import is_frame
from contrastive.errors import ContrastiveError, warn
from contrastive.inference.asymptotics import StandardErrors, standard_errors
from contrastive.inference.features import extract_features
from contrastive.noises.conditional import contexts_fixed, make_noise_over
from contrastive.normalizer import LogPartition, log_partitions, log_partitions_given
from contrastive.numerics.chunks import rows_at_once
from contrastive.numerics.random_state import seeded
from contrastive.objectives import make_objective
from contrastive.protocols import NoiseModel
from contrastive.registry import make_energy
from contrastive.sampling import sample_energy, sample_given
from contrastive.sampling.imputation import Imputed, impute
from contrastive.training.callbacks import Callback
from contrastive.training.models import class_prior_of
from contrastive.training.progress import Progress
from contrastive.training.run import belongs_to_models, go_on, train
from contrastive.training.run_directory import RunDirectory

_ROWS = 10_000  # scored at once
_UNKEPT = ("run.out", "run.tensorboard")


class ContrastiveEstimator(Estimator):
    """An energy-based model p(x) = exp(f(x) - c) learned by noise contrastive estimation, and all that uses it.

    The core, with its arguments, is `contrastive.core.estimator.Estimator`; the methods added here call the packages
    for sampling, log Z, features and training.

    Example:
        >>> import torch
        >>> from torch.distributions import Independent, Normal
        >>> noise = Independent(Normal(torch.zeros(2), 2 * torch.ones(2)), 1)
        >>> estimator = ContrastiveEstimator(torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.Flatten(0)), noise)
        >>> estimator.energy_loss(torch.randn(100, 2)).loss.backward()
        >>> estimator.log_prob(torch.zeros(5, 2)).shape
        torch.Size([5])
    """

    def sample(self, n: int, given: Rows | None = None, **settings: Any) -> Float[Tensor, "n *event"]:
        """`n` samples of p in original units, by MCMC.

        Args:
            n: how many; of a conditional density, for each context.
            given: of a conditional density p(x | y), its contexts y: one as `{"age": 40}` or `(k,)` numbers, or several
                as `(m, k)` or a frame. Without them rows (x, y) are drawn, with y as in the training data.
            **settings: of the chains: see `contrastive.sampling.sample_energy`; with them `given` is one context.

        Returns:
            Shape `(n, *event)`; with one context `(n, d)`, x alone; with m contexts `(n, m, d)`.

        Raises:
            ContrastiveError: if a setting is out of range, or `given` is nothing that the model conditions on.
        """
        if given is None:
            return self._sampled(n, settings)
        y, single = self.model_contexts(given), _is_one_context(given, self.scaling.num_given)
        if settings:
            if not single:
                raise ContrastiveError("settings of the chains go with one context: leave them out, or give one")
            with contexts_fixed(self, y):
                return self._sampled(n, settings)[:, : -self.scaling.num_given]
        samples = sample_given(self, n, y)
        if samples.warning:
            warn(samples.warning)
        return samples.x[:, 0] if single else samples.x

    def _sampled(self, n: int, settings: dict[str, Any]) -> Float[Tensor, "n *event"]:
        samples = sample_energy(self, n, **settings)
        if samples.warnings:
            warn(samples.advice)
        return samples.x

    def score_samples(self, x: Rows, given: Rows | None = None) -> NDArray[np.float64]:
        """log p(x) of each row in nats, by the learned c, as `log_prob`; the name and the meaning are scikit-learn's.

        For many rows: they are scored in parts, and the answer is an array on the CPU.

        Args:
            x: rows in original units, as `fit` takes them; of rounded columns that were spread over their step for the
                fit, at the rounded values.
            given: of a conditional density p(x | y), y, where `x` does not have it.

        Returns:
            Shape `(n,)`, float64; NaN for rows with an entry that is NaN or infinite.

        Raises:
            ContrastiveError: if `x` is not a batch of events, or lacks a column.
        """
        x = self.points(x, given)
        answer = np.full(len(x), np.nan)
        complete = x.detach().flatten(1).isfinite().all(1).nonzero().squeeze(1)
        for rows in complete.split(rows_at_once(self.scaling.event_shape, _ROWS)):
            answer[rows.cpu().numpy()] = self.log_prob(x[rows]).detach().cpu().double().numpy()
        return answer

    def to_frame(self, x: Float[Tensor, "n d"]) -> Any:
        """Rows of a table that was fitted as it is, such as samples, as a data frame: words, dates, gaps.

        Raises:
            ContrastiveError: if the estimator was fitted to something else.
        """
        if not isinstance(self.scaling, TableScaling):
            raise ContrastiveError("to_frame is for a table that was fitted as it is (mixed=True)")
        return to_frame(x, self.scaling)

    def impute(self, x: Rows, draws: int = 1, **settings: Any) -> Imputed:
        """Draw the missing values of rows from p(missing | observed), given that they are there.

        Args:
            x: rows with gaps, as `fit` takes them; the answer's `x` has `draws` tables, each for `to_frame`.
            draws: how many tables to draw.
            **settings: `proposals`, `warmup` and `thin`: see `contrastive.sampling.imputation.impute`.

        Raises:
            ContrastiveError: for a fit of another kind, or a value that its column cannot take.
        """
        imputed = impute(self, self.points(x), draws=draws, **settings)
        if imputed.warning:
            warn(imputed.warning)
        return imputed

    def features(self, x: Rows, layers: str | Sequence[str] = "top", **settings: Any) -> Float[Tensor, "n features"]:
        """Activations of chosen layers of the energy at `x`, float32, on the CPU, for a classifier to learn from.

        Args:
            x: rows in original units, as `fit` takes them.
            layers: "top" (the last hidden layer), "dcgan" (the last three, pooled to 4 x 4), or names of modules.
            **settings: `pool` and `batch_size`; see `contrastive.inference.features.extract_features`.

        Raises:
            ContrastiveError: for a layer that the energy does not have; the message names those it has.
        """
        return extract_features(self, x, layers, **settings).values

    def fit(
        self,
        x: Any,
        y: Any = None,
        *,
        sample_weight: Any = None,
        quiet: bool = False,
        callbacks: Sequence[Callback] = (),
        **settings: Any,
    ) -> "ContrastiveEstimator":
        """Train in place; the models, the objective and the noise ratio are the estimator's own.

        Args:
            x: data, as in `contrastive.fit`; the scaling is set from it.
            y: for an energy with classes, one label a row; -1 is unlabelled.
            sample_weight: how often each row counts, as in `contrastive.fit`.
            quiet: show no progress.
            callbacks: see `contrastive.training.callbacks`.
            **settings: of the training, as in `contrastive.fit` (`steps`, `batch_size`, `recipe`, ...).

        Raises:
            ContrastiveError: if `settings` name a model or what would have no effect, or the data do not fit the
                noise's event shape.
        """
        _refuse_own(settings)
        x, settings = _with_contexts(x, settings)
        models = {
            "energy": type(self.energy).__name__,
            "noise": type(self.noise).__name__,
            "method": "fce" if self.adapt_noise else "nce",
            "noise_ratio": self.noise_ratio,
            "device": str(self.log_normalizer.device),
        }
        config = _config(x, {**models, **settings})
        how: dict[str, Any] = {"progress": Progress(quiet=quiet), "callbacks": callbacks}
        train(config, x, y, sample_weight=sample_weight, estimator=self, **how)
        return self

    def save(self, directory: str | Path, *, overwrite: bool = False) -> None:
        """Write a directory that `contrastive.load` and the commands read: settings, tensors and figures, no code.

        Args:
            directory: it must be empty or not be there.
            overwrite: replace the run that is there: its own files, nothing else.

        Raises:
            ContrastiveError: if the place is taken, or the estimator is not as its settings say, as one that was built
                from objects: no file of settings can name those.
        """
        if self.config is None:
            raise ContrastiveError(
                "this estimator has parts that are objects, which no settings name, or is not fitted: pickle it "
                "(torch.save(estimator, path)), or fit by names, contrastive.fit(x, energy='mlp', noise='gaussian')"
            )
        config, tensors = changed(self.config, {"run.out": str(directory)}), self.state_dict()
        try:
            with seeded(0):
                _rebuilt(config, tensors, allow_import=True)  # what this could import has been imported for the fit
        except RuntimeError as error:
            raise ContrastiveError(
                "the estimator's parts are no longer those that its settings name, so it could not be loaded: pickle "
                "it (torch.save(estimator, path))"
            ) from error
        RunDirectory(directory).keep(config, tensors, self.summary or {}, overwrite=overwrite)

    def log_partition(self, method: str = "auto", *, given: Rows | None = None, **settings: Any) -> LogPartition:
        """log Z of the energy in nats, with an interval and a verdict: how far to trust the learned c.

        Args:
            method: "auto", "importance", "bridge", "annealing" or "certified".
            given: of a conditional density p(x | y), the one context y whose log Z(y) is wanted; for many at once take
                `log_partitions_given`. Without it log Z is that of rows (x, y): log of the mean of Z(y).
            **settings: `draws`, `level`, `data` and more: see `contrastive.normalizer.log_partitions`.

        Raises:
            ContrastiveError: for an energy with classes, which has one log Z each: `class_log_partitions`.
        """
        if given is not None:
            y = self.model_contexts(given)
            if len(y) != 1:
                raise ContrastiveError(f"log_partition takes one context, got {len(y)}: log_partitions_given(given)")
            with contexts_fixed(self, y):
                return self.log_partition(method, **settings)
        if self.num_classes is not None:
            raise ContrastiveError(
                f"this energy has {self.num_classes} classes, each with its own log Z; call class_log_partitions()"
            )
        return log_partitions(self, method, **settings)[0]

    def log_partitions_given(self, given: Rows, **settings: Any) -> list[LogPartition]:
        """log Z(y) of p(x | y) for each of many contexts, by importance sampling from q(. | y).

        Args:
            given: contexts, as in `sample`.
            **settings: `draws` for each context and `level`: see `contrastive.normalizer.log_partitions_given`.

        Raises:
            ContrastiveError: if the model is not conditional, or has classes.
        """
        return log_partitions_given(self, self.model_contexts(given), **settings)

    def class_log_partitions(self, method: str = "auto", **settings: Any) -> list[LogPartition]:
        """log Z of each class of a K-class energy; see `log_partition`."""
        if self.num_classes is None:
            raise ContrastiveError("this energy has no classes; call log_partition()")
        return log_partitions(self, method, **settings)

    def standard_errors(self, x: Rows, **settings: Any) -> StandardErrors:
        """Standard errors of a parametric energy's parameters and of c; see `contrastive.inference.asymptotics`.

        Raises:
            ContrastiveError: as there, and after a fit to weighted rows: the theory here is that of equal weights.
        """
        if "effective_train_rows" in (self.summary or {}):
            raise ContrastiveError("standard errors know no weights, and this fit has some: leave them out")
        return standard_errors(self, self.points(x), **settings)


def fit(
    data: Any,
    y: Any = None,
    *,
    sample_weight: Any = None,
    quiet: bool = False,
    overwrite: bool = False,
    allow_import: bool = False,
    callbacks: Sequence[Callback] = (),
    resume: str | Path | None = None,
    **settings: Unpack[Keywords],
) -> ContrastiveEstimator:
    """Fit an energy-based model to data by noise contrastive estimation.

    Args:
        data: array or tensor `(n, d)`, nested lists, a data frame of pandas or polars, uint8 images `(n, C, H, W)`,
            `(n, H, W, C)` or `(n, H, W)`, a map-style `Dataset`, a density or its name, a file, or a folder of images.
        y: one label a row, whole numbers or words, for a density of each class and a classifier; -1 is unlabelled.
        given: for a conditional density p(x | given): names of columns of `data`, or their values, a row for each of
            `data`: `contrastive.fit(x, given=y)`.
        sample_weight: how often each row of an array or table counts, one number at least 0 a row; their scale means
            nothing. The fit is that of the table with each row repeated so often. `weight_column` names a column.
        quiet: show no progress.
        overwrite: replace the run at `out`: its own files, nothing else that lies there.
        allow_import: let the noise `distribution` import a class from outside `torch.distributions`: code that you
            trust, and the path may come from the run at `init_noise`.
        callbacks: called after updates and evaluations, for logging of your own: see `contrastive.training.callbacks`.
        resume: directory of an interrupted run of the same data to go on with, by its own settings.
        **settings: the everyday settings by name, such as `noise="glow", method="fce", steps=5000`; options of the
            models as dictionaries, `noise_options={"width": 64}`; all others in their sections,
            `game={"noise": {"freeze_after": 0.5}}` (`contrastive init-config` explains each). With `out="runs/mine"`
            the run is kept on disk, else nothing is written. `energy` and `noise` may be objects, too: a module that
            gives f(x), a `NoiseModel` or a `torch.distributions.Distribution`. They live in the model's coordinates,
            where a table is standardised unless `standardize=False`, and are trained in place.

    Returns:
        The fitted estimator; its methods take and return the data's own units.

    Raises:
        ContrastiveError: if the data or the settings cannot work.

    Example:
        >>> import torch
        >>> estimator = fit("8gaussians", steps=20, quiet=True)
        >>> estimator.log_prob(torch.zeros(3, 2)).shape
        torch.Size([3])
    """
    how: dict[str, Any] = {"kind": ContrastiveEstimator, "progress": Progress(quiet=quiet)}
    how |= {"callbacks": callbacks, "allow_import": allow_import, "sample_weight": sample_weight}
    data, given = _with_contexts(data, {**settings})
    if resume is not None:
        values = {"given"} if "given" in settings and not names_columns(settings["given"]) else set()
        if settings.keys() - values or overwrite:
            raise ContrastiveError("resume takes every setting from the run: leave the others out")
        trained = go_on(resume, data, y, **how)
    else:
        objects = _objects(given)
        config = _config(data, {**given, **{part: type(given).__name__ for part, given in objects.items()}})
        trained = train(config, data, y, overwrite=overwrite, **objects, **how)
    assert isinstance(trained.estimator, ContrastiveEstimator)
    return trained.estimator


def _objects(settings: dict[str, Any]) -> dict[str, Any]:
    """The energy and the noise that are given as objects, by part.

    Raises:
        ContrastiveError: if one is neither model nor name, or comes with what takes a name.
    """
    named = {part: isinstance(settings.get(part, ""), str | Mapping) for part in ("energy", "noise")}
    objects = {part: settings[part] for part, is_named in named.items() if not is_named}
    for part, given in objects.items():
        suits = callable(given) if part == "energy" else isinstance(given, NoiseModel | Distribution)
        if isinstance(given, type) or not suits:
            kind = "a module that gives f(x)" if part == "energy" else "a NoiseModel or a torch distribution"
            what = f"the class {given.__name__}" if isinstance(given, type) else repr(given)
            raise ContrastiveError(f"{part} must be a name or {kind}, got {what}")
        if settings.get(f"{part}_options"):
            raise ContrastiveError(f"{part}_options go with a name, and this {part} is an object: leave them out")
        if settings.get("out") is not None:
            raise ContrastiveError(
                f"out keeps a run, which is loaded by the names of its parts, and this {part} is an object: leave it "
                "out, and pickle the estimator (torch.save(estimator, path))"
            )
    return objects


def _config(data: Any, settings: dict[str, Any]) -> FitConfig:
    name = str(data) if isinstance(data, str | Path) else type(data).__name__
    return configure({"data": name, **settings})


def _is_one_context(given: Rows, num_given: int) -> bool:
    """Whether `given` is a single context, and no table of contexts, even of one."""
    if isinstance(given, Mapping):
        return True
    dimensions = 2 if isinstance(given, str | Path) or is_frame(given) else np.ndim(given)
    return dimensions == 0 or (dimensions == 1 and (num_given > 1 or len(given) == 1))


def _with_contexts(data: Any, settings: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The data with the values of `given` beside them, where it is values, and the settings that name their columns."""
    given = settings.get("given")
    if given is None or names_columns(given):
        return data, settings
    data, names = joined(data, given)
    return data, {**settings, "given": names}


def _refuse_own(settings: dict[str, Any]) -> None:
    """Refuse settings that an estimator's own `fit` would ignore."""
    paths = flattened(settings)
    if own := sorted(shown(path) for path in paths if belongs_to_models(path) or path == "game.method"):
        raise ContrastiveError(f"the estimator has its own {', '.join(own)}: leave it out of fit()")
    if unkept := sorted(shown(path) for path in paths if path in _UNKEPT):
        raise ContrastiveError(
            f"estimator.fit keeps no run, so {', '.join(unkept)} would have no effect: leave it out, or take "
            "contrastive.fit"
        )


def load(directory: str | Path, *, trainable: bool = False, allow_import: bool = False) -> ContrastiveEstimator:
    """The estimator of a finished run, on the CPU. Runs no code of the run's: it may be somebody else's.

    Args:
        directory: of the run.
        trainable: leave the parameters so that they can learn on; else every one is frozen.
        allow_import: let the noise `distribution` of the run import a class from outside `torch.distributions`: code
            that you trust.

    Raises:
        ContrastiveError: if the directory is no finished run, its files are damaged, or it names a class to import.
    """
    run_directory = RunDirectory(directory)
    config = run_directory.read_config()
    tensors, state = run_directory.read_model()
    try:
        estimator = _rebuilt(config, tensors, allow_import=allow_import)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise ContrastiveError(f"{directory} does not fit its own config.yaml: {reason}") from error
    estimator.config, estimator.summary = config, state.get("summary")
    estimator.columns = _named_columns(config, state.get("summary") or {})
    return (estimator if trainable else estimator.requires_grad_(False)).eval()


def _rebuilt(config: FitConfig, tensors: dict[str, Tensor], *, allow_import: bool) -> ContrastiveEstimator:
    """The estimator of these settings with these tensors.

    Raises:
        RuntimeError: if they do not fit together.
    """
    scaling = _restored(tensors, len(given_columns(config)))
    event_shape = scaling.event_shape
    assert config.energy.name is not None
    assert config.noise.name is not None
    given: dict[str, Any] = {"event_shape": event_shape, "allow_import": allow_import}
    estimator = ContrastiveEstimator(
        make_energy(config.energy.name, **given, **config.energy.options),
        make_noise_over(config.noise.name, num_given=scaling.num_given, **given, **config.noise.options),
        objective=make_objective(config.objective.name, **config.objective.options),
        noise_ratio=config.objective.noise_ratio,
        noise_per_data=config.objective.noise_per_data,
        adapt_noise=config.game.method == "fce",
        scaling=scaling,
        defensive_component=frozen_gaussian(event_shape, scaling.num_given) if config.game.defensive_share else None,
        defensive_share=config.game.defensive_share or 0.0,
        class_prior=class_prior_of(config),
    )
    if (dtype := tensors["log_normalizer"].dtype) != estimator.log_normalizer.dtype:
        estimator.to(dtype)
    estimator.load_state_dict(tensors)
    return estimator


def _named_columns(config: FitConfig, summary: dict[str, Any]) -> tuple[str, ...] | None:
    """Names by which the columns of new tables are found; None for a run of an array, a density or images."""
    # Runs of earlier versions do not say: of what they took, files alone had names.
    named = summary.get("columns_are_named", has_named_columns(config.data.source))
    return tuple(summary["columns"]) if named and "columns" in summary else None


def _restored(tensors: dict[str, Tensor], num_given: int) -> Coordinates:
    """The scaling, from a run's tensors."""
    if "scaling.schema" in tensors:
        return TableScaling.restored(*(tensors[f"scaling.{name}"] for name in ("schema", "shift", "scale")))
    if "scaling.layout" in tensors:
        return PixelScaling.restored(tensors["scaling.layout"], tensors["scaling.alpha"])
    return Scaling(tensors["scaling.shift"], tensors["scaling.scale"], num_given)
