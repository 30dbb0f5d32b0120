"""2-D densities with an exact `log_prob`, by name: data whose truth is known."""

from collections.abc import Callable

from contrastive.data.densities.base import Density
from contrastive.data.densities.curves import moons, swissroll, two_spirals
from contrastive.data.densities.mixtures import gaussian_grid, gaussian_ring
from contrastive.data.densities.shapes import Checkerboard, Pinwheel, Rings
from contrastive.data.densities.warped import Banana, Funnel
from contrastive.errors import ContrastiveError, did_you_mean

DENSITIES: dict[str, Callable[[], Density]] = {
    "8gaussians": lambda: gaussian_ring(radius=2 * 2**0.5, sd=0.5 / 2**0.5),
    "8gaussians-tight": lambda: gaussian_ring(radius=2**0.5, sd=0.1),
    "25gaussians": gaussian_grid,
    "rings": Rings,
    "checkerboard": Checkerboard,
    "pinwheel": Pinwheel,
    "two-spirals": two_spirals,
    "moons": moons,
    "swissroll": swissroll,
    "banana": Banana,
    "funnel": Funnel,
}


def available_densities() -> list[str]:
    """Names that `make_density` knows."""
    return sorted(DENSITIES)


def make_density(name: str) -> Density:
    """The density called `name`.

    Raises:
        ContrastiveError: if there is none of that name.
    """
    if name not in DENSITIES:
        raise ContrastiveError(f"unknown density {name!r}; {did_you_mean(name, DENSITIES)}")
    return DENSITIES[name]()
