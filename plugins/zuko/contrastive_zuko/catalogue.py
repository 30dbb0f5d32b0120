"""Each of zuko's flows over R^d by name, with zuko's own options."""

from functools import partial
from typing import Any, NamedTuple

import torch
from zuko import flows
from zuko.nn import MLP, MaskedMLP

from contrastive.errors import ContrastiveError
from contrastive.noises.conditional import conditions
from contrastive.numerics.torch_defaults import validation
from contrastive_zuko.noise import ZukoFlow, ZukoNoise
from contrastive_zuko.options import checked, options_of


class Entry(NamedTuple):
    """A class of zuko's, and how it is offered.

    Attributes:
        chain: the class, then those to which it hands its keyword arguments, one after the other.
        defaults: where they differ from zuko's.
    """

    chain: tuple[type, ...]
    defaults: dict[str, Any] = {}  # noqa: RUF012  never changed


_MASKED = (flows.MaskedAutoregressiveTransform, MaskedMLP)
_COUPLED = (flows.GeneralCouplingTransform, MLP)
#: One transform of these is universal, and each more multiplies the time of a draw, which is found by bisection.
_UNIVERSAL = {"transforms": 1}
_SMALL = {"transforms": 1, "signal": 8, "network": {"hidden_features": (16, 16)}}

#: Names after `zuko/`. Left out, with the measurements in docs/decisions/zuko.md: NCSF, whose features are angles; GF
#: and UNAF, no bijections of R^d as they are computed; CNF, whose score of a row depends on the rows beside it.
FLOWS = {
    "maf": Entry((flows.MAF, *_MASKED)),
    "nsf": Entry((flows.NSF, flows.MAF, *_MASKED)),
    "nice": Entry((flows.NICE, *_COUPLED)),
    "realnvp": Entry((flows.RealNVP, *_COUPLED)),
    "naf": Entry((flows.NAF, *_MASKED), _SMALL),
    "sospf": Entry((flows.SOSPF, flows.MAF, *_MASKED), _UNIVERSAL),
    "bpf": Entry((flows.BPF, flows.MAF, *_MASKED), _UNIVERSAL),
    "gmm": Entry((flows.GMM,)),
}


def make_flow(
    flow: str, event_shape: tuple[int, ...], *, context_shape: tuple[int, ...] = (), **options: Any
) -> ZukoNoise:
    """zuko's flow of that name over events of any shape.

    Args:
        flow: one of `FLOWS`.
        event_shape: shape of one data point.
        context_shape: `(k,)` for a density q(x | y), `()` for q(x).
        **options: of the zuko class, and of those to which it hands its keyword arguments.

    Raises:
        ContrastiveError: for an option that the flow does not have, or that zuko cannot work with.

    Example:
        >>> noise = make_flow("nsf", (3,), transforms=1, bins=4, hidden_features=[16], activation="silu")
        >>> noise.initialize(torch.randn(50, 3))
        >>> noise.sample(torch.Size([2])).shape
        torch.Size([2, 3])
    """
    name, entry = f"zuko/{flow}", FLOWS[flow]
    options = checked(name, options, options_of(entry.chain))
    if "network" in options:
        options["network"] = checked(f"{name}'s network", options["network"], options_of([MLP]))
    made = build(name, flow, event_shape, context_shape, {**entry.defaults, **options})
    kind = ZukoFlow if isinstance(made, flows.Flow) else ZukoNoise
    return kind(event_shape, made, name, context_shape=context_shape)


def build(
    name: str, flow: str, event_shape: tuple[int, ...], context_shape: tuple[int, ...], options: dict[str, Any]
) -> Any:
    """zuko's own module, tried once: some options are found wrong only when used.

    Raises:
        ContrastiveError: if it cannot be made, or does not work.
    """
    dim = torch.Size(event_shape).numel()
    if dim < 1:
        raise ContrastiveError(f"{name} needs events of one number or more, got event shape {tuple(event_shape)}")
    try:
        made = FLOWS[flow].chain[0](dim, sum(context_shape), **options)
        with torch.no_grad(), validation(False):
            made(torch.zeros(1, *context_shape) if context_shape else None).log_prob(torch.zeros(1, dim))
    except Exception as error:  # zuko raises whatever its parts raise
        raise ContrastiveError(f"zuko cannot make {name} with {options}: {type(error).__name__}: {error}") from error
    return made


zuko_maf, zuko_nsf = conditions(partial(make_flow, "maf")), conditions(partial(make_flow, "nsf"))
zuko_nice, zuko_realnvp = conditions(partial(make_flow, "nice")), conditions(partial(make_flow, "realnvp"))
zuko_naf = conditions(partial(make_flow, "naf"))
zuko_sospf, zuko_bpf = conditions(partial(make_flow, "sospf")), conditions(partial(make_flow, "bpf"))
zuko_gmm = conditions(partial(make_flow, "gmm"))
