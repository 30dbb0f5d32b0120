"""Samplers by name."""

import inspect
from collections.abc import Callable
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from contrastive.errors import ContrastiveError, did_you_mean
from contrastive.protocols import InvertibleNoise, NoiseModel, num_given
from contrastive.registry import noises
from contrastive.sampling.kernels import HMC, MALA, Alternating, IndependenceMetropolis, Kernel, Latent

_SCALE_DRAWS, _LEAST_SCALE = 1000, 1e-12
_MIXED_STEPS = 4  # leapfrog steps of a local move, at most


def _imh(noise: NoiseModel) -> Kernel:
    return IndependenceMetropolis(noise)


def _mala(noise: NoiseModel) -> Kernel:
    return MALA(scale=_spread(noise))


def _hmc(noise: NoiseModel) -> HMC:
    return HMC(scale=_spread(noise))


def _latent_hmc(noise: NoiseModel) -> Latent:
    if not isinstance(noise, InvertibleNoise):
        able = [name for name in noises.names() if _has_latent_space(name)]
        raise ContrastiveError(
            f"the noise {type(noise).__name__} has no latent space for 'latent-hmc': take a noise with to_latent and "
            f"from_latent ({', '.join(able) or 'none is installed'}), or the sampler 'mixed'"
        )
    return Latent(HMC(), noise)


def _mixed(noise: NoiseModel) -> Kernel:
    """Local moves in data space, and in latent space where the noise has one: each mixes where the other is slow.

    Latent moves adapt to the flow's geometry, but are slow where a flow with one mode covers several and is stretched
    thin between them; moves in data space are not.
    """
    local = replace(_hmc(noise), steps=_MIXED_STEPS)
    if isinstance(noise, InvertibleNoise):
        return Alternating(IndependenceMetropolis(noise), (local, Latent(HMC(steps=_MIXED_STEPS), noise)))
    return Alternating(IndependenceMetropolis(noise), (local,), moves=2)


#: Chains by name. `resampling` is no chain and has its own function, `resample`.
KERNELS: dict[str, Callable[[NoiseModel], Kernel]] = {
    "imh": _imh,
    "mala": _mala,
    "hmc": _hmc,
    "latent-hmc": _latent_hmc,
    "mixed": _mixed,
}


def choose_sampler(name: str, *, discrete: bool) -> str:
    """`name`, or for "auto" the best that can work: `mixed`, or `imh` where p is discrete and has no gradient.

    Raises:
        ContrastiveError: for an unknown name, or one that needs a gradient where there is none.
    """
    if name == "auto":
        return "imh" if discrete else "mixed"
    known = ["auto", "resampling", *KERNELS]
    if name not in known:
        raise ContrastiveError(f"unknown sampler {name!r}; {did_you_mean(name, known)}")
    if discrete and name not in ("resampling", "imh"):
        raise ContrastiveError(f"the energy is over discrete points, where {name!r} has no gradient; take 'imh'")
    return name


def make_kernel(name: str, noise: NoiseModel) -> Kernel:
    """The kernel of a sampler, with step sizes still to be adapted.

    Raises:
        ContrastiveError: if the noise has no latent space and the sampler needs one.
    """
    return KERNELS[name](noise)


@torch.no_grad()
def _spread(noise: NoiseModel) -> Tensor:
    """The standard deviation of each coordinate of the noise's draws: lengths for the moves."""
    return scale_of_moves(noise.sample(torch.Size([_SCALE_DRAWS])), noise)


def scale_of_moves(z: Float[Tensor, "n *event"], noise: NoiseModel) -> Float[Tensor, "*event"]:
    """A length for each coordinate: the standard deviation of `z`, and 0 in what is given, which does not move."""
    scale = z.std(0).clamp_min(_LEAST_SCALE)
    if given := num_given(noise):
        scale[-given:] = 0
    return scale


def _has_latent_space(name: str) -> bool:
    try:
        factory = noises.load(name)
    except ContrastiveError:  # a plugin that does not import is no advice
        return False
    made = factory if isinstance(factory, type) else inspect.signature(factory).return_annotation
    return isinstance(made, type) and issubclass(made, InvertibleNoise)
