"""Energy-based models by noise contrastive estimation: NCE, fixed-flow NCE and FCE on one estimator.

The whole public API is the table below. Names are imported on first use, so that `contrastive --help` does not wait
for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from contrastive.version import __version__ as __version__

if TYPE_CHECKING:
    from contrastive.api import ContrastiveEstimator, fit, load
    from contrastive.data.densities import available_densities, make_density
    from contrastive.energies.adapters import from_energy
    from contrastive.energies.base import Energy
    from contrastive.errors import ContrastiveError
    from contrastive.noises.base import Noise
    from contrastive.noises.conditional import joint_noise
    from contrastive.objectives.base import Objective
    from contrastive.protocols import AdaptiveNoise, ConditionalNoise, EnergyModel, NoiseModel
    from contrastive.ratio import RatioEstimate, fit_ratio, mutual_information
    from contrastive.registry import (
        available_energies,
        available_noises,
        make_energy,
        make_noise,
        register_energy,
        register_noise,
    )

_HOME = {
    "fit": "contrastive.api",
    "load": "contrastive.api",
    "ContrastiveEstimator": "contrastive.api",
    "RatioEstimate": "contrastive.ratio",
    "fit_ratio": "contrastive.ratio",
    "mutual_information": "contrastive.ratio",
    "ContrastiveError": "contrastive.errors",
    "AdaptiveNoise": "contrastive.protocols",
    "ConditionalNoise": "contrastive.protocols",
    "Energy": "contrastive.energies.base",
    "EnergyModel": "contrastive.protocols",
    "Noise": "contrastive.noises.base",
    "NoiseModel": "contrastive.protocols",
    "Objective": "contrastive.objectives.base",
    "available_densities": "contrastive.data.densities",
    "available_energies": "contrastive.registry",
    "available_noises": "contrastive.registry",
    "from_energy": "contrastive.energies.adapters",
    "joint_noise": "contrastive.noises.conditional",
    "make_density": "contrastive.data.densities",
    "make_energy": "contrastive.registry",
    "make_noise": "contrastive.registry",
    "register_energy": "contrastive.registry",
    "register_noise": "contrastive.registry",
}

__all__ = [
    "AdaptiveNoise",
    "ConditionalNoise",
    "ContrastiveError",
    "ContrastiveEstimator",
    "Energy",
    "EnergyModel",
    "Noise",
    "NoiseModel",
    "Objective",
    "RatioEstimate",
    "available_densities",
    "available_energies",
    "available_noises",
    "fit",
    "fit_ratio",
    "from_energy",
    "joint_noise",
    "load",
    "make_density",
    "make_energy",
    "make_noise",
    "mutual_information",
    "register_energy",
    "register_noise",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'contrastive' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
