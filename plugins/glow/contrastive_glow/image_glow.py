"""Glow for images, as a noise that adapts."""

import math
from typing import Any, ClassVar

from contrastive.errors import ContrastiveError, did_you_mean
from contrastive_glow.architecture import Architecture
from contrastive_glow.convolution import CONVOLUTIONS
from contrastive_glow.elementwise import BoundedAffine, make_elementwise
from contrastive_glow.flow import Flow, find_activation, require_positive
from contrastive_glow.multiscale import Step

#: The flows of Gao et al. 2020, table 7, all for 32 x 32 images.
PRESETS: dict[str, dict[str, Any]] = {
    "svhn": {"levels": 3, "blocks": 8, "width": 512, "coupling": "additive", "activation": "relu"},
    "celeba": {"levels": 3, "blocks": 16, "width": 512, "coupling": "additive", "activation": "relu"},
    "cifar10": {"levels": 3, "blocks": 32, "width": 512, "coupling": "additive", "activation": "relu"},
}
# Bounded networks, because the draws of others burst where training never was (docs/explanation/fce-on-images.md).
_DEFAULTS: dict[str, Any] = {"levels": 3, "blocks": 4, "width": 64, "coupling": "affine", "activation": "tanh"}


class ImageGlow(Flow):
    """A multi-scale Glow with convolutional couplings (Kingma & Dhariwal 2018).

    Each level makes channels of 2 x 2 blocks of pixels and takes `blocks` steps: from data to latent ActNorm, an
    invertible 1x1 convolution and a coupling, whose network is a 3 x 3, a 1 x 1 and a 3 x 3 convolution. Half of the
    channels that result are latent, the next level maps the others. As a whole it is x = g(z) with z standard normal
    of the same shape as x, so that log q(x) = log N(z) + log |det dz/dx|, in nats.

    The flow must see data once, by `initialize(x)`, before it samples or scores. Under autocast the networks run in
    the lower precision; everything else that log q is made of does not.

    Args:
        event_shape: `(C, H, W)`, H and W divisible by 2^levels.
        preset: "svhn", "celeba" or "cifar10": the flow of Gao et al. for these data, 32 x 32; options given beside it
            prevail.
        levels: number of levels L (default: 3, or as many as H and W can be halved).
        blocks: number of steps K per level (default: 4).
        width: hidden channels of each coupling network (default: 64).
        coupling: "additive", "affine" or "spline" (rational-quadratic, Durkan et al. 2019) (default: affine).
        convolution: "lu" (W = P L U) or "plain": how the matrix of a 1x1 convolution is parametrised.
        learned_split_prior: learn a diagonal Gaussian for the latents of each level but the last, given the half that
            goes on, as OpenAI's Glow does; else they are standard normal.
        scaled_zero_convolutions: learn a scale for the outputs of each last convolution, as OpenAI's Glow does.
        bound: largest absolute log-scale of an affine coupling and of the split prior.
        bins: bins of a spline coupling.
        tail_bound: half the width of the box on which a spline coupling bends; outside it is the identity.
        activation: of the networks: relu, silu, gelu or tanh (default: tanh; in a preset relu, as published).
        checkpoint_activations: keep one image a step for the backward pass, and compute the rest again.

    Raises:
        ContrastiveError: if the event is not an image that can be halved `levels` times, or an option is out of range.

    References: Kingma & Dhariwal (2018), "Glow"; presets: Gao et al. (2020), "Flow contrastive estimation", table 7;
    split prior and scales: https://github.com/openai/glow, where log-scales have no bound.

    Example:
        >>> import torch
        >>> glow = ImageGlow((3, 8, 8), blocks=2, width=16)
        >>> glow.initialize(torch.rand(10, 3, 8, 8))
        >>> x, log_q = glow.rsample_and_log_prob(torch.Size([5]))
        >>> x.shape, log_q.shape, glow.sample_at_temperature(torch.Size([2]), 0.7).shape
        (torch.Size([5, 3, 8, 8]), torch.Size([5]), torch.Size([2, 3, 8, 8]))
    """

    name: ClassVar[str] = "glow"

    def __init__(
        self,
        event_shape: tuple[int, ...],
        *,
        preset: str | None = None,
        levels: int | None = None,
        blocks: int | None = None,
        width: int | None = None,
        coupling: str | None = None,
        convolution: str = "lu",
        learned_split_prior: bool = True,
        scaled_zero_convolutions: bool = True,
        bound: float = 2.0,
        bins: int = 8,
        tail_bound: float = 5.0,
        activation: str | None = None,
        checkpoint_activations: bool = False,
    ) -> None:
        most = _halvings(event_shape)
        given = {"levels": levels, "blocks": blocks, "width": width, "coupling": coupling, "activation": activation}
        chosen = _choose(preset, given, most)
        require_positive(self.name, **{size: chosen[size] for size in ("levels", "blocks", "width")})
        if chosen["levels"] > most:
            height, breadth = event_shape[1:]
            raise ContrastiveError(
                f"levels={chosen['levels']} halves {height} x {breadth} images {chosen['levels']} times, which it "
                f"cannot; take --noise.levels {most}"
            )
        if convolution not in CONVOLUTIONS:
            raise ContrastiveError(f"unknown convolution {convolution!r}; {did_you_mean(convolution, CONVOLUTIONS)}")
        architecture = Architecture(
            blocks=chosen["blocks"],
            width=chosen["width"],
            elementwise=make_elementwise(chosen["coupling"], bound=bound, bins=bins, tail_bound=tail_bound),
            split_prior=BoundedAffine(bound) if learned_split_prior else None,
            convolution=convolution,
            activation=find_activation(chosen["activation"]),
            scaled=scaled_zero_convolutions,
            recompute=checkpoint_activations,
        )
        super().__init__(event_shape, [architecture.level(event_shape[0], chosen["levels"])])

    def compile(self) -> None:
        """Run the steps through `torch.compile` from now on, and in copies made from now on.

        Steps of one level share one compiled graph: three to compile in place of one of 24 steps, which takes minutes.
        """
        for module in self.modules():
            if isinstance(module, Step):
                module.compiled = True


def _halvings(event_shape: tuple[int, ...]) -> int:
    """How often height and width can be halved.

    Raises:
        ContrastiveError: if the event is no image, or its sides cannot be halved.
    """
    if len(event_shape) != 3 or min(event_shape) < 1:
        raise ContrastiveError(f"glow needs images (channels, height, width), got event shape {tuple(event_shape)}")
    common = math.gcd(*event_shape[1:])
    if common % 2:
        raise ContrastiveError(
            f"glow halves height and width, which {event_shape[1]} x {event_shape[2]} images cannot be: pad or crop "
            "them to even sides"
        )
    return (common & -common).bit_length() - 1  # the powers of 2 in it


def _choose(preset: str | None, given: dict[str, Any], most_levels: int) -> dict[str, Any]:
    """The options given, else the preset's, else the defaults.

    Raises:
        ContrastiveError: if the preset is unknown.
    """
    if preset is not None and preset not in PRESETS:
        raise ContrastiveError(f"unknown preset {preset!r}; {did_you_mean(preset, PRESETS)}")
    chosen = _DEFAULTS | {"levels": min(_DEFAULTS["levels"], most_levels)}
    return chosen | PRESETS.get(preset or "", {}) | {name: value for name, value in given.items() if value is not None}
