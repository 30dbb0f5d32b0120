"""What an image flow is built of, from the last level to the first."""

from dataclasses import dataclass

from torch import nn

from contrastive_glow.convolution import CONVOLUTIONS
from contrastive_glow.coupling import Coupling
from contrastive_glow.elementwise import Elementwise
from contrastive_glow.layers import ActNorm
from contrastive_glow.multiscale import FirstHalf, Level, Step
from contrastive_glow.networks import ZeroConvolution, convolutional


@dataclass(frozen=True)
class Architecture:
    """A multi-scale Glow without its size: channels and levels come with the call.

    Args:
        blocks: steps a level.
        width: hidden channels of a coupling network.
        elementwise: what a coupling does to each number.
        split_prior: what the prior of a level's own latents does to each of them; None leaves them as they are.
        convolution: one of `CONVOLUTIONS`.
        activation: nonlinearity of the networks.
        scaled: whether the last convolutions learn a scale.
        recompute: whether steps compute their activations again in the backward pass.
    """

    blocks: int
    width: int
    elementwise: Elementwise
    split_prior: Elementwise | None
    convolution: str
    activation: type[nn.Module]
    scaled: bool
    recompute: bool

    def level(self, channels: int, levels: int) -> Level:
        """The first of `levels` levels, for images of `channels` channels, with all that are deeper."""
        channels *= 4
        layers: list[nn.Module] = [self._step(channels) for _ in range(self.blocks)]
        if levels > 1 and self.split_prior is not None:
            network = ZeroConvolution(channels // 2, self.split_prior.size * channels // 2, scaled=self.scaled)
            layers.append(Coupling(channels // 2, self.split_prior, network))
        if levels > 1:
            layers.append(FirstHalf(self.level(channels // 2, levels - 1)))
        return Level(layers)

    def _step(self, channels: int) -> Step:
        half = channels // 2
        numbers = self.elementwise.size * half
        network = convolutional(half, numbers, width=self.width, activation=self.activation, scaled=self.scaled)
        layers = [ActNorm(channels, spatial=2), CONVOLUTIONS[self.convolution](channels)]
        return Step([*layers, Coupling(half, self.elementwise, network)], recompute=self.recompute)
