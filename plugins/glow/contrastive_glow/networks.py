"""The networks that give a coupling its parameters. Each ends in zeros, so that a fresh coupling is the identity."""

from torch import Tensor, nn

_LOG_SCALE_FACTOR = 3.0  # OpenAI's: what the scale of a zero convolution learns faster than the rest


def dense(inputs: int, outputs: int, *, width: int, hidden_layers: int, activation: type[nn.Module]) -> nn.Sequential:
    """Fully connected layers, for vectors."""
    layers: list[nn.Module] = []
    size = inputs
    for _ in range(hidden_layers):
        layers += [nn.Linear(size, width), activation()]
        size = width
    last = nn.Linear(size, outputs)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(*layers, last)


def convolutional(inputs: int, outputs: int, *, width: int, activation: type[nn.Module], scaled: bool) -> nn.Sequential:
    """Convolutions 3 x 3, 1 x 1 and 3 x 3, for images (Kingma & Dhariwal 2018, appendix B)."""
    return nn.Sequential(
        nn.Conv2d(inputs, width, 3, padding=1),
        activation(),
        nn.Conv2d(width, width, 1),
        activation(),
        ZeroConvolution(inputs=width, outputs=outputs, scaled=scaled),
    )


class ZeroConvolution(nn.Conv2d):
    """A 3 x 3 convolution that starts at zero; where it is `scaled`, times a learned exp(3 logs) for each channel.

    Reference: `conv2d_zeros` of https://github.com/openai/glow, which the paper does not mention.

    Args:
        inputs: channels that come in.
        outputs: channels that go out.
        scaled: whether there is a scale.
    """

    logs: nn.Parameter | None

    def __init__(self, inputs: int, outputs: int, *, scaled: bool) -> None:
        super().__init__(inputs, outputs, 3, padding=1)
        self.register_parameter("logs", nn.Parameter(self.weight.new_zeros(outputs, 1, 1)) if scaled else None)

    def reset_parameters(self) -> None:
        """Zeros, where `nn.Conv2d` draws at random."""
        nn.init.zeros_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """The convolution, scaled."""
        y = super().forward(x)
        return y if self.logs is None else y * (_LOG_SCALE_FACTOR * self.logs).exp()
