"""`contrastive list`."""

from contrastive.config import RECIPES
from contrastive.data.densities import available_densities
from contrastive.data.images import available_sets
from contrastive.objectives import OBJECTIVES
from contrastive.registry import energies, noises


def run(*, what: str | None) -> None:
    """Print names, and the package that brings each model."""
    lists = {
        "noises": {name: noises.source(name) for name in noises.names()},
        "energies": {name: energies.source(name) for name in energies.names()},
        "densities": dict.fromkeys(available_densities(), ""),
        "images": dict.fromkeys(available_sets(), ""),
        "objectives": dict.fromkeys(sorted(OBJECTIVES), ""),
        "recipes": dict.fromkeys(RECIPES, ""),
    }
    for title, names in lists.items():
        if what in (None, title):
            print(f"{title}:")
            for name, source in names.items():
                print(f"  {name:20} {source}".rstrip())
