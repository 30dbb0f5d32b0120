"""A flow's passes as CUDA graphs: one launch in place of thousands, whose launching is what a GPU else waits for."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

Mapped = tuple[Tensor, Tensor]


class _Inverse(nn.Module):
    """Data to latent; a module, so that what is captured knows its parameters.

    Autocast is entered in here, and not around the capture: there it would round the backward pass too, products in
    float32 included (gradients off by 1.2 % on an H100). Nor may it keep weights that it has cast: a replay would not
    cast them again.
    """

    def __init__(self, chain: Any, precision: str) -> None:
        super().__init__()
        self.chain, self.rounded = chain, precision == "bf16"

    def forward(self, x: Tensor) -> Mapped:
        """z and the log-determinant."""
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.rounded, cache_enabled=False):
            return self.mapped(x)

    def mapped(self, x: Tensor) -> Mapped:
        """The same, in whatever precision is asked for around it."""
        return self.chain.inverse(x)


class _Forward(_Inverse):
    """Latent to data."""

    def mapped(self, x: Tensor) -> Mapped:
        """x and the log-determinant."""
        return self.chain(x)


@contextmanager
def captured(noise: Any, rows: int, precision: str, *, draws: bool) -> Iterator[None]:
    """While entered, batches of `rows` go through `contrastive_glow.Flow` as CUDA graphs, forwards and backwards.

    The parameters are read where they lie, so updates in place are seen. Other batches, and copies of the noise made
    before, run as ever. One pass a direction may be alive at a time: a second one overwrites what its gradient needs.

    Args:
        noise: the flow, which has seen data.
        rows: of a batch.
        precision: of the networks, "float32" or "bf16".
        draws: whether to capture the way from latent to data, too.
    """
    like = next(noise.parameters())
    shape = torch.Size([rows, *noise.event_shape])
    passes: dict[str, nn.Module] = {"to_latent": _Inverse(noise.layers, precision)}
    if draws:
        passes["from_latent"] = _Forward(noise.layers, precision)
    for name, module in passes.items():
        sample = torch.randn(shape, dtype=like.dtype, device=like.device)
        graphed: Any = torch.cuda.make_graphed_callables(module.train(), (sample,))
        setattr(noise, name, _of_shape(shape, graphed, getattr(noise, name)))
    try:
        yield
    finally:
        for name in passes:
            delattr(noise, name)


def _of_shape(
    shape: torch.Size, graphed: Callable[[Tensor], Mapped], eager: Callable[..., Mapped]
) -> Callable[..., Mapped]:
    def run(x: Tensor, *, given: Tensor | None = None) -> Mapped:
        if given is not None or x.shape != shape:
            return eager(x, given=given)
        mapped, log_det = graphed(x)
        return mapped.clone(), log_det.clone()  # the next replay writes to the same place

    return run
