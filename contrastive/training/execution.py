"""How the models run: in which precision, compiled or not. What they compute stays the same."""

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn

from contrastive.core.estimator import Estimator
from contrastive.errors import ContrastiveError
from contrastive.protocols import rounds_networks_only


def autocast(precision: str, device: torch.device) -> AbstractContextManager[Any]:
    """Autocast to bfloat16 for `precision` "bf16", nothing for "float32"."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Context with `count` CPU threads for torch's operations; 0: as many as before."""
    before = torch.get_num_threads()
    if count:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def check_precision(estimator: Estimator, precision: str) -> None:
    """Refuse to round a model whose log-density would be rounded with it; see `contrastive.numerics.precision`.

    Raises:
        ContrastiveError: naming the model.
    """
    if precision == "float32":
        return
    for role, model in {"energy": estimator.energy, "noise": estimator.noise}.items():
        if not rounds_networks_only(model):
            raise ContrastiveError(
                f"--precision bf16 would round the log-density of the {role} {type(model).__name__}; leave it out, or "
                "take models whose networks alone are rounded: the energies conv and mlp, the noise glow or a Gaussian"
            )


def compile_models(estimator: Estimator, *, energy: bool = True) -> None:
    """Compile the energy, and a noise that has a `compile` of its own (`glow`).

    Parameters and their names stay as they are, so checkpoints and moving averages know nothing of it.

    Args:
        estimator: whose models.
        energy: whether the energy, too: torch.compile has no second derivative, which a gradient penalty takes.
    """
    if energy and isinstance(estimator.energy, nn.Module):
        estimator.energy.compile()
    noise = estimator.noise
    if isinstance(noise, nn.Module) and type(noise).compile is not nn.Module.compile:
        noise.compile()


def eagerly() -> AbstractContextManager[Any]:
    """A context in which what is compiled runs uncompiled: for calls too few to be worth compiling for their shapes."""
    # Without a compiler in the process there is nothing to hold back, and its import takes seconds.
    return torch.compiler.set_stance("force_eager") if "torch._dynamo" in sys.modules else nullcontext()
