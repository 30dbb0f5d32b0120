"""Settings of a fit, checked at every door and resolved once. No torch: `contrastive --help` reads them."""

from contrastive.config.effects import without_effect
from contrastive.config.names import ALIASES, EVERYDAY, ROOTS, SETTINGS, as_option, flattened, shown
from contrastive.config.parsing import PARTS, choices, refuse_taken
from contrastive.config.reading import read_yaml
from contrastive.config.recipes import RECIPES
from contrastive.config.resolution import (
    AUTO,
    DataFacts,
    ModelFacts,
    asks_for_auto,
    choose_models,
    default_threads,
    resolve,
    with_recipe,
)
from contrastive.config.schema import Setting
from contrastive.config.sections import FitConfig, ResolvedConfig
from contrastive.config.settings import by_path, changed, configure, read_config, to_sections, with_part

__all__ = [
    "ALIASES",
    "AUTO",
    "EVERYDAY",
    "PARTS",
    "RECIPES",
    "ROOTS",
    "SETTINGS",
    "DataFacts",
    "FitConfig",
    "ModelFacts",
    "ResolvedConfig",
    "Setting",
    "as_option",
    "asks_for_auto",
    "by_path",
    "changed",
    "choices",
    "choose_models",
    "configure",
    "default_threads",
    "flattened",
    "read_config",
    "read_yaml",
    "refuse_taken",
    "resolve",
    "shown",
    "to_sections",
    "with_part",
    "with_recipe",
    "without_effect",
]
