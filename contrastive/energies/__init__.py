"""Built-in energies: modules that give f(x), the unnormalised log-density (high = likely)."""

from contrastive.energies.adapters import from_energy
from contrastive.energies.mlp import MLP

__all__ = ["MLP", "from_energy"]
