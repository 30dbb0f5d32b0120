"""The trainer of a run, from its resolved settings."""

import copy
import math
from collections.abc import Sequence

from contrastive.config import ResolvedConfig
from contrastive.core.estimator import Estimator
from contrastive.data.preparation import Prepared
from contrastive.errors import ContrastiveError
from contrastive.training.callbacks import Callback
from contrastive.training.execution import compile_models
from contrastive.training.judging import make_judge, make_scorer
from contrastive.training.models import show_data_to_noise
from contrastive.training.plan import plan_stages
from contrastive.training.progress import Progress
from contrastive.training.run_directory import RunDirectory
from contrastive.training.sample_grids import SampleGrids
from contrastive.training.tensorboard import TensorBoard
from contrastive.training.terms import make_terms
from contrastive.training.trainer import Trainer


def make_trainer(
    config: ResolvedConfig,
    estimator: Estimator,
    data: Prepared,
    directory: RunDirectory | None = None,
    progress: Progress | None = None,
    callbacks: Sequence[Callback] = (),
    *,
    deadline: float = math.inf,
) -> Trainer:
    """The trainer of an estimator, its noise fitted or initialised on `data`; `deadline` is as in `Trainer`."""
    estimator.scaling = data.scaling.to(estimator.log_normalizer.device)
    estimator.columns = tuple(data.columns) if data.named else None
    show_data_to_noise(estimator, data, config.run.seed)
    _defend(estimator, data, config.game.defensive_share)
    averaged = copy.deepcopy(estimator).requires_grad_(False).eval()
    judge = make_judge(estimator, data)
    if config.run.compile:
        compile_models(estimator, energy=not config.game.energy.gradient_penalty)
    return Trainer(
        estimator,
        averaged,
        data.source,
        plan_stages(config, estimator, averaged, make_terms(config, estimator, labelled=data.classes is not None)),
        judge,
        make_scorer(data) if config.run.early_stopping else None,
        score_weight=data.validation_weight,
        batch_size=config.game.batch_size,
        seed=config.run.seed,
        evaluate_every=config.run.evaluate_every,
        checkpoint_every=config.run.checkpoint_every,
        early_stopping=config.run.early_stopping,
        deadline=deadline,
        directory=directory,
        progress=progress,
        callbacks=[*_writers(config, data, directory), *callbacks],
    )


def _writers(config: ResolvedConfig, data: Prepared, directory: RunDirectory | None) -> list[Callback]:
    """What is drawn at each evaluation, of a run that is kept.

    Raises:
        ContrastiveError: if `tensorboard` is asked of a run that is not.
    """
    if directory is None:
        if config.run.tensorboard:
            raise ContrastiveError("tensorboard needs a run that is kept: give out='runs/NAME'")
        return []
    grids = SampleGrids(directory.samples_path) if data.are_images else None
    writers: list[Callback] = [] if grids is None else [grids]
    return [*writers, TensorBoard(directory.tensorboard_path, grids)] if config.run.tensorboard else writers


def _defend(estimator: Estimator, data: Prepared, share: float) -> None:
    if estimator.defensive_component is not None or not share:
        return
    try:
        component = copy.deepcopy(data.gaussian)
    except ContrastiveError as error:
        raise ContrastiveError(f"no defensive Gaussian can be fitted: {error}; or --game.defensive-share 0") from error
    estimator.defensive_component = component.to(estimator.log_normalizer.device)
    estimator.defensive_share = share
