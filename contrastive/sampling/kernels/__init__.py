"""Markov transitions that leave an unnormalised density invariant, for many chains at once."""

from contrastive.sampling.kernels.alternating import Alternating
from contrastive.sampling.kernels.base import INDEPENDENCE, LATENT, LOCAL, Kernel, LogDensity, State, TunableKernel
from contrastive.sampling.kernels.hamiltonian import HMC, MALA, leapfrog
from contrastive.sampling.kernels.independence import IndependenceMetropolis
from contrastive.sampling.kernels.latent import Latent

__all__ = [
    "HMC",
    "INDEPENDENCE",
    "LATENT",
    "LOCAL",
    "MALA",
    "Alternating",
    "IndependenceMetropolis",
    "Kernel",
    "Latent",
    "LogDensity",
    "State",
    "TunableKernel",
    "leapfrog",
]
