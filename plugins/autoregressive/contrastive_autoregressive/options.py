"""Checks of the options that both noises share."""

from torch import nn

from contrastive.errors import ContrastiveError, did_you_mean

#: Nonlinearities of the hidden layers.
ACTIVATIONS: dict[str, type[nn.Module]] = {"silu": nn.SiLU, "relu": nn.ReLU, "gelu": nn.GELU, "tanh": nn.Tanh}


def require_positive(name: str, **sizes: int) -> None:
    """Refuse a width or a number of layers below 1.

    Raises:
        ContrastiveError: naming the sizes.
    """
    if min(sizes.values()) < 1:
        raise ContrastiveError(f"{name} needs {', '.join(sizes)} of at least 1 each")


def find_activation(name: str) -> type[nn.Module]:
    """The nonlinearity called `name`.

    Raises:
        ContrastiveError: if it is none of `ACTIVATIONS`.
    """
    if name not in ACTIVATIONS:
        raise ContrastiveError(f"unknown activation {name!r}; {did_you_mean(name, ACTIVATIONS)}")
    return ACTIVATIONS[name]
