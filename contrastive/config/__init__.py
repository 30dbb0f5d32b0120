"""Settings of a fit, checked at every door and filled in by a recipe. No torch: `contrastive --help` reads them."""

from contrastive.config.effects import without_effect
from contrastive.config.parsing import PARTS, Options, choices, refuse_taken
from contrastive.config.reading import read_flat
from contrastive.config.recipes import ENERGY_OPTIONS, IMAGES_ON_LOG_Q, IMAGES_PLAIN, RECIPES
from contrastive.config.sections import EVERYDAY, FIELDS, PATHS, ROOTS, flattened
from contrastive.config.settings import FitConfig, read_config

__all__ = [
    "ENERGY_OPTIONS",
    "EVERYDAY",
    "FIELDS",
    "IMAGES_ON_LOG_Q",
    "IMAGES_PLAIN",
    "PARTS",
    "PATHS",
    "RECIPES",
    "ROOTS",
    "FitConfig",
    "Options",
    "choices",
    "flattened",
    "read_config",
    "read_flat",
    "refuse_taken",
    "without_effect",
]
