"""`maf`, `iaf` and `nsf`: the flows that most want, with a few options under this project's names."""

import math
from collections.abc import Callable
from typing import Any

from torch import nn
from zuko.flows import Flow

from contrastive.noises.candidates import proposes
from contrastive.noises.conditional import conditions
from contrastive_zuko.catalogue import build
from contrastive_zuko.noise import ZukoFlow
from contrastive_zuko.options import checked, one_of

_KNOWN = {"transforms": int, "width": int, "hidden_layers": int, "activation": Callable[..., nn.Module]}
_PASSES = {"autoregressive": None, "coupling": 2}
_FEW_ROWS, _MANY_ROWS, _MOST_COLUMNS = 500, 2_000, 50


def _splines(rows: int, event_shape: tuple[int, ...]) -> list[dict[str, Any]]:
    """A spline flow, where gradient steps have rows enough and a step does not take long."""
    return [{"bins": 16, "whiten": True}] if rows >= _FEW_ROWS and math.prod(event_shape) <= _MOST_COLUMNS else []


def _splines_given(rows: int, event_shape: tuple[int, ...]) -> list[dict[str, Any]]:
    """Not whitened too: whitened x is what is left of it given y, and where x is in a box the box leans then."""
    return [*_splines(rows, event_shape), {}] if _splines(rows, event_shape) else []


def _affine_given(rows: int, event_shape: tuple[int, ...]) -> list[dict[str, Any]]:
    """Where rows are many: ahead of splines for posteriors that are nearly normal (bernoulli_glm of sbibm)."""
    return [{}] if rows >= _MANY_ROWS and math.prod(event_shape) <= _MOST_COLUMNS else []


@proposes(lambda rows, event_shape: [], given=_affine_given)
@conditions
def maf(
    event_shape: tuple[int, ...],
    *,
    transforms: int = 5,
    width: int = 64,
    hidden_layers: int = 2,
    activation: str = "silu",
    whiten: bool = False,
    context_shape: tuple[int, ...] = (),
) -> ZukoFlow:
    """A masked autoregressive flow: scored in one pass a transform, drawn in d.

    Each transform is z_i = exp(a_i) x_i + b_i with a_i and b_i functions of x_<i, and |a_i| < log 1000.

    Args:
        event_shape: shape of one data point, d numbers.
        transforms: autoregressive transforms, in ascending and descending order by turns.
        width: hidden units of a layer.
        hidden_layers: how many hidden layers.
        activation: silu, relu, gelu, tanh or elu.
        whiten: whiten by the covariance of the data, in the order of the numbers: for nearly collinear ones.
        context_shape: `(k,)` for a density q(x | y), `()` for q(x).

    Raises:
        ContrastiveError: for an option of the wrong type or out of range.

    Reference: Papamakarios et al. (2017), "Masked autoregressive flow for density estimation".

    Example:
        >>> import torch
        >>> noise = maf((2,), transforms=2, width=16)
        >>> noise.initialize(torch.randn(100, 2))
        >>> noise.log_prob(torch.zeros(3, 2)).shape
        torch.Size([3])
    """
    made = _made("maf", "maf", event_shape, context_shape, transforms, width, hidden_layers, activation)
    return ZukoFlow(event_shape, made, "maf", whiten=whiten, context_shape=context_shape)


@conditions
def iaf(
    event_shape: tuple[int, ...],
    *,
    transforms: int = 5,
    width: int = 64,
    hidden_layers: int = 2,
    activation: str = "silu",
    whiten: bool = False,
    context_shape: tuple[int, ...] = (),
) -> ZukoFlow:
    """An inverse autoregressive flow: `maf` the other way round, drawn in one pass a transform, scored in d.

    Its options are those of `maf`. Training takes log q at the data too, so it saves time only where samples are
    many more than data.

    Raises:
        ContrastiveError: for an option of the wrong type or out of range.

    Reference: Kingma et al. (2016), "Improved variational inference with inverse autoregressive flow".
    """
    made = _made("iaf", "maf", event_shape, context_shape, transforms, width, hidden_layers, activation)
    return ZukoFlow(event_shape, Flow(made.transform.inv, made.base), "iaf", whiten=whiten, context_shape=context_shape)


@proposes(_splines, given=_splines_given)
@conditions
def nsf(
    event_shape: tuple[int, ...],
    *,
    structure: str = "autoregressive",
    bins: int = 8,
    transforms: int = 2,
    width: int = 64,
    hidden_layers: int = 2,
    activation: str = "silu",
    whiten: bool = False,
    context_shape: tuple[int, ...] = (),
) -> ZukoFlow:
    """A neural spline flow: monotone rational-quadratic splines on [-5, 5], in units of the data's spread.

    Args:
        event_shape: shape of one data point, d numbers.
        structure: "autoregressive", scored in one pass a transform and drawn in d, or "coupling", two passes to draw.
        bins: bins of a spline.
        transforms: spline transforms, in ascending and descending order by turns.
        width: hidden units of a layer.
        hidden_layers: how many hidden layers.
        activation: silu, relu, gelu, tanh or elu.
        whiten: whiten by the covariance of the data, in the order of the numbers: for nearly collinear ones.
        context_shape: `(k,)` for a density q(x | y), `()` for q(x).

    Raises:
        ContrastiveError: for an option of the wrong type or out of range.

    Reference: Durkan et al. (2019), "Neural spline flows".

    Example:
        >>> import torch
        >>> noise = nsf((2,), bins=4, width=16)
        >>> noise.initialize(torch.randn(100, 2))
        >>> noise.sample(torch.Size([3])).shape
        torch.Size([3, 2])
    """
    passes = _PASSES[one_of("structure", structure, _PASSES)]
    spline = checked("nsf", {"bins": bins}, {"bins": int})
    spline["passes"] = passes
    made = _made("nsf", "nsf", event_shape, context_shape, transforms, width, hidden_layers, activation, **spline)
    return ZukoFlow(event_shape, made, "nsf", whiten=whiten, context_shape=context_shape)


def _made(
    name: str,
    flow: str,
    event_shape: tuple[int, ...],
    context_shape: tuple[int, ...],
    transforms: int,
    width: int,
    hidden_layers: int,
    activation: str,
    **options: Any,
) -> Any:
    given = {"transforms": transforms, "width": width, "hidden_layers": hidden_layers, "activation": activation}
    options |= checked(name, given, _KNOWN)
    options["hidden_features"] = (options.pop("width"),) * options.pop("hidden_layers")
    return build(name, flow, event_shape, context_shape, options)
