"""Built-in energies: modules that give f(x), the unnormalised log-density (high = likely).

Those whose log Z is known also have `log_partition()`, which says so for the present parameters.
"""

from contrastive.energies.adapters import from_energy
from contrastive.energies.base import Energy
from contrastive.energies.bridges import Bridges
from contrastive.energies.conv import Convolutional
from contrastive.energies.gaussian import GaussianEnergy
from contrastive.energies.ica import ProductOfExperts
from contrastive.energies.ising import Ising
from contrastive.energies.mlp import MLP
from contrastive.energies.rbm import RestrictedBoltzmannMachine
from contrastive.energies.ring import RingEnergy
from contrastive.energies.tilted import Tilted

__all__ = [
    "MLP",
    "Bridges",
    "Convolutional",
    "Energy",
    "GaussianEnergy",
    "Ising",
    "ProductOfExperts",
    "RestrictedBoltzmannMachine",
    "RingEnergy",
    "Tilted",
    "from_energy",
]
