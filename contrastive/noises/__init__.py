"""Built-in noises: normalised densities with closed forms. Flows are plugins."""

from contrastive.noises.base import Noise
from contrastive.noises.defensive import DefensiveMixture
from contrastive.noises.distribution import DistributionNoise
from contrastive.noises.empirical import EmpiricalNoise, IndependentNoise
from contrastive.noises.gaussian import DiagonalGaussian, Gaussian
from contrastive.noises.gaussian_mixture import GaussianMixture
from contrastive.noises.kde import KernelDensity
from contrastive.noises.spins import BernoulliSpins
from contrastive.noises.stack import Stack
from contrastive.noises.student_t import StudentT
from contrastive.noises.uniform import Uniform

__all__ = [
    "BernoulliSpins",
    "DefensiveMixture",
    "DiagonalGaussian",
    "DistributionNoise",
    "EmpiricalNoise",
    "Gaussian",
    "GaussianMixture",
    "IndependentNoise",
    "KernelDensity",
    "Noise",
    "Stack",
    "StudentT",
    "Uniform",
]
