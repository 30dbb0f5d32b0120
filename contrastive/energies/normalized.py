"""Layers whose weights are normalised, by torch's parametrisations, and that can be pickled."""

from collections.abc import Callable, Iterable
from typing import Any, cast

import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize


def weight_norm(layer: nn.Module) -> nn.Module:
    """`layer`, which learns each filter's norm apart from its direction."""
    return _picklable(parametrizations.weight_norm(layer))


def spectral_norm(layer: nn.Module) -> nn.Module:
    """`layer`, whose weight has a largest singular value of 1."""
    return _picklable(parametrizations.spectral_norm(layer))


def _picklable(layer: nn.Module) -> nn.Module:
    """Let a parametrised layer be pickled, which torch refuses: it has given the layer a class of its own."""
    cast(Any, type(layer)).__reduce_ex__ = _reduce
    return layer


def _reduce(layer: nn.Module, protocol: int) -> tuple[Callable[..., nn.Module], tuple[Any, ...], dict[str, Any]]:
    kind = type(layer).__bases__[0]  # the class that it had before
    # Left out: torch's hook for checkpoints of the weight_norm that it had before, a local function.
    state = {name: value for name, value in vars(layer).items() if name != "_load_state_dict_pre_hooks"}
    return _blank, (kind, tuple(cast(nn.ModuleDict, layer.parametrizations))), state


def _blank(kind: type[nn.Module], names: Iterable[str]) -> nn.Module:
    """A layer that computes the tensors of these names; how, and from what, comes with its state."""
    layer = kind.__new__(kind)
    nn.Module.__init__(layer)
    for name in names:
        layer.register_parameter(name, nn.Parameter(torch.empty(0)))
        parametrize.register_parametrization(layer, name, nn.Identity())
    return _picklable(layer)
