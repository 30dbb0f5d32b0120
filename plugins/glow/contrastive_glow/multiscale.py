"""The multi-scale architecture (Dinh et al. 2017), as layers that hold layers.

A level is an invertible map of images to latents of the same shape. On `(4 c, h / 2, w / 2)` it takes its steps, then
half of the channels, the level's own latent, stay as they are, and the next level maps the other half.

The prior p(z2|z1) that OpenAI's Glow learns for a level's own latent z2 needs no place here: with z2 = m(z1) + s(z1) u
it is a coupling, the last step of its level, and the latent u is standard normal like every other.
"""

from collections.abc import Callable, Iterable
from functools import cache

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from contrastive_glow.layers import Chain, Mapped


class Step(Chain):
    """Layers whose activations autograd keeps or, with `recompute`, computes again when it needs them.

    Args:
        layers: invertible layers, from data to latent.
        recompute: keep nothing but what comes in; the backward pass costs a forward pass more.

    Attributes:
        compiled: whether the step runs through `torch.compile`, now and in copies made from now on.
    """

    def __init__(self, layers: Iterable[nn.Module], *, recompute: bool) -> None:
        super().__init__(layers)
        self.recompute = recompute
        self.compiled = False

    def forward(self, z: Float[Tensor, "n c h w"]) -> Mapped:
        """Latent to data."""
        return self._run(_one_layout(_compiled_forward(), self) if self.compiled else super().forward, z)

    def inverse(self, x: Float[Tensor, "n c h w"]) -> Mapped:
        """Data to latent."""
        return self._run(_one_layout(_compiled_inverse(), self) if self.compiled else super().inverse, x)

    def _run(self, mapping: Callable[[Tensor], Mapped], x: Tensor) -> Mapped:
        if self.recompute and torch.is_grad_enabled():
            return checkpoint(mapping, x, use_reentrant=False, preserve_rng_state=False)  # nothing here is random
        return mapping(x)


# Functions of the step, not methods bound to one: all steps of a level, whose shapes are the same, share one compiled
# graph, and a deep copy runs its own layers. Static shapes, or the second level would make the first one's dynamic.
# torch.compile keeps 8 graphs a function: three levels, with and without a gradient, are 6; the first step's input,
# which needs no gradient, is one more. Another layout of the input would be another graph.
@cache
def _compiled_forward() -> Callable[[Step, Tensor], Mapped]:
    return torch.compile(lambda step, z: Chain.forward(step, z), dynamic=False)


@cache
def _compiled_inverse() -> Callable[[Step, Tensor], Mapped]:
    return torch.compile(lambda step, x: Chain.inverse(step, x), dynamic=False)


def _one_layout(mapping: Callable[[Step, Tensor], Mapped], step: Step) -> Callable[[Tensor], Mapped]:
    return lambda x: mapping(step, x.contiguous())


class Level(Chain):
    """Layers that see each 2 x 2 block of an image as channels: `(c, h, w)` as `(4 c, h / 2, w / 2)`."""

    @torch.no_grad()
    def initialize(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Let the layers see data."""
        return _unsqueeze(super().initialize(_squeeze(x)))

    def forward(self, z: Float[Tensor, "n c h w"]) -> Mapped:
        """Latent to data."""
        x, log_det = super().forward(_squeeze(z))
        return _unsqueeze(x), log_det

    def inverse(self, x: Float[Tensor, "n c h w"]) -> Mapped:
        """Data to latent."""
        z, log_det = super().inverse(_squeeze(x))
        return _unsqueeze(z), log_det


class FirstHalf(nn.Module):
    """A level that maps the first half of the channels; the second stays.

    Args:
        level: the map.
    """

    def __init__(self, level: Level) -> None:
        super().__init__()
        self.level = level

    @torch.no_grad()
    def initialize(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Let the level see data."""
        first, second = x.chunk(2, 1)
        return torch.cat([self.level.initialize(first), second], 1)

    def forward(self, z: Float[Tensor, "n c h w"]) -> Mapped:
        """Latent to data."""
        first, second = z.chunk(2, 1)
        first, log_det = self.level(first)
        return torch.cat([first, second], 1), log_det

    def inverse(self, x: Float[Tensor, "n c h w"]) -> Mapped:
        """Data to latent."""
        first, second = x.chunk(2, 1)
        first, log_det = self.level.inverse(first)
        return torch.cat([first, second], 1), log_det


def _squeeze(x: Tensor) -> Tensor:
    return rearrange(x, "n c (h s) (w t) -> n (c s t) h w", s=2, t=2)


def _unsqueeze(x: Tensor) -> Tensor:
    return rearrange(x, "n (c s t) h w -> n c (h s) (w t)", s=2, t=2)
