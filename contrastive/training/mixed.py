"""Models of a table that is taken as it is: they are told what each entry of an event is."""

import inspect
from typing import Any

from contrastive.config import AUTO, FitConfig, changed, with_part
from contrastive.data.preparation import Prepared
from contrastive.data.schema import TableScaling
from contrastive.energies.tilted import default_correction
from contrastive.errors import ContrastiveError
from contrastive.numerics.layout import has_discrete, takes_layout
from contrastive.protocols import is_discrete
from contrastive.registry import energies, noises
from contrastive.training.automatic import BOUND, REUSE, may_be_left

#: The noise of a table that is taken as it is, where none is named.
MIXED_NOISE = "mixed-made"
# 1e-3 leaves 4 to 7 nats a row of a small table unlearned after 600 steps (energy, housing of the benchmark).
_LEARNING_RATE = 5e-3


def with_mixed_models(config: FitConfig, data: Prepared, *, energy: Any = None, noise: Any = None) -> FitConfig:
    """`config` with the layout of the rows as an option of its models; as it is where the data are no such table.

    Where nothing is named the noise is `mixed-made`, and the energy begins as that noise and is kept where it is ahead.

    Args:
        config: as given.
        data: prepared.
        energy: given as an object, which must know the layout itself.
        noise: likewise.

    Raises:
        ContrastiveError: if the noise is a density of real numbers and the rows are not all real.
    """
    if not isinstance(data.scaling, TableScaling):
        return config
    layout = data.scaling.layout
    words = [entry.word for entry in layout]
    if config.noise.name == AUTO:
        raise ContrastiveError("noise 'auto' is for continuous columns: for a table as it is take --noise mixed-made")
    if noise is None and not config.likelihood.init_noise:
        name = config.noise.name or MIXED_NOISE
        if takes_layout(noises.load(name)):
            config = with_part(config, "noise", name, {**config.noise.options, "layout": words})
            if config.likelihood.learning_rate is None:
                config = changed(config, {"likelihood.learning_rate": _LEARNING_RATE})
        elif has_discrete(layout):
            raise _no_density(name)
    elif noise is not None and has_discrete(layout) and not is_discrete(noise):
        raise _no_density(type(noise).__name__)
    if energy is None and config.game.method != "mle":
        config = _with_energy(config, words)
    return config


def _no_density(noise: str) -> ContrastiveError:
    return ContrastiveError(
        f"the noise {noise!r} is a density of real numbers, and this table has categories, whole numbers or gaps: take "
        "--noise mixed-made"
    )


def _with_energy(config: FitConfig, words: list[str]) -> FitConfig:
    """`config` with an energy that sees the layout; one that begins as the noise where none is named."""
    if config.energy.name is None:
        if config.objective.name == "nce" and config.energy.options.get("bound") is None:
            config = with_part(config, "energy", "tilted", {"bound": BOUND, **config.energy.options})
        else:
            config = with_part(config, "energy", "tilted", config.energy.options)
        if may_be_left(config):
            config = changed(config, {"game.energy.keep": "ahead"})
    if config.objective.noise_reuse is None:
        config = changed(config, {"objective.noise_reuse": REUSE})  # a draw costs a pass an entry
    assert config.energy.name is not None
    if _sees_layout(config.energy.name, config.energy.options):
        config = changed(config, {"energy.layout": words})
    return config


def _sees_layout(energy: str, options: dict[str, Any]) -> bool:
    if energy == "tilted":  # its correction does
        energy = options.get("correction") or default_correction((1,))[0]
    return "layout" in inspect.signature(energies.load(energy)).parameters
