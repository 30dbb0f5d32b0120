"""Base of energies that contain the noise's log-density."""

import copy
from abc import abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from contrastive.energies.base import Energy
from contrastive.errors import ContrastiveError
from contrastive.protocols import NoiseModel, log_prob_of_point, rounds_networks_only


class BuiltOnNoise(Energy):
    """Base of energies f(x) = log q0(x) + ..., q0 a frozen copy of the noise in the `state_dict`.

    A subclass implements `has_learned` and `forget`; its `forward` adds to `log_base`. Where it sets `follow`, q0 is
    the noise itself, and no part of the `state_dict`.
    """

    follow = False

    def __init__(self) -> None:
        super().__init__()
        self.base: NoiseModel | None = None

    @abstractmethod
    def has_learned(self) -> bool:
        """Whether the energy differs from log q0."""

    @abstractmethod
    def forget(self) -> None:
        """Reset the energy to log q0."""

    def start_from(self, noise: NoiseModel) -> None:
        """Take a frozen copy of `noise` as q0, unless the energy has learned; with `follow`, always `noise` itself."""
        if self.follow or self.base is None or not self.has_learned():
            self._take(noise)

    @torch.no_grad()
    def restart_from(self, noise: NoiseModel) -> None:
        """Take a frozen copy of `noise` as q0 and reset the energy to it."""
        self.forget()
        self._take(noise)

    @property
    def rounds_networks_only(self) -> bool:
        """Whether q0's log-density keeps its digits under autocast."""
        return rounds_networks_only(self.base)

    def log_base(self, x: Float[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        """log q0(x).

        Raises:
            ContrastiveError: before `start_from`.
        """
        if self.base is None:
            raise ContrastiveError(
                f"{type(self).__name__} has no noise yet: give it to a ContrastiveEstimator, or call start_from(noise)"
            )
        return log_prob_of_point(self.base, x) if self.follow else self.base.log_prob(x)

    def follows(self, noise: NoiseModel) -> bool:
        """Whether q0 is `noise` itself, not a copy."""
        return self.follow and self.base is noise

    def _take(self, noise: NoiseModel) -> None:
        if self.follow:
            object.__setattr__(self, "base", noise)  # past nn.Module: its parameters belong to the estimator
            return
        base = copy.deepcopy(noise)
        if isinstance(base, nn.Module):
            base.requires_grad_(False)
        del self.base  # a module cannot be replaced by a noise that is none
        self.base = base
