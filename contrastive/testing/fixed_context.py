"""q(. | y) of a conditional noise at one context y, as a noise that the checks of noises take."""

import inspect
from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn


class FixedContext:
    """q(. | y) at one context y, as a noise; its draws are made in a batch of several contexts.

    Args:
        conditional: q(x | y).
        y: the context.
        company: contexts of the other rows of a batch.

    Example:
        >>> from contrastive import make_noise
        >>> noise = make_noise("gaussian", event_shape=(2,), context_shape=(1,))
        >>> at_0 = FixedContext(noise, torch.zeros(1), company=torch.ones(3, 1))
        >>> at_0.log_prob(at_0.sample(torch.Size([5]))).shape
        torch.Size([5])
    """

    def __init__(self, conditional: Any, y: Float[Tensor, " k"], company: Float[Tensor, "m k"]) -> None:
        self.conditional, self.y, self.company = conditional, y, company
        self.event_shape = torch.Size(conditional.event_shape)

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:
        """Draws of shape `sample_shape + event_shape`, every other row of a batch."""
        x: Tensor = self.conditional.sample(given=self._among_others(torch.Size(sample_shape).numel()))
        return x[::2].contiguous().reshape(*sample_shape, *self.event_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """log q(value | y) in nats."""
        x = value.reshape(-1, *self.event_shape)
        log_q: Tensor = self.conditional.log_prob(x, given=self._repeated(len(x)))
        return log_q.reshape(value.shape[: value.ndim - len(self.event_shape)])

    def _repeated(self, n: int) -> Float[Tensor, "n k"]:
        return self.y.repeat(n, 1)

    def _among_others(self, n: int) -> Float[Tensor, "rows k"]:
        """Contexts of a batch whose every other row is this one."""
        others = self.company[torch.arange(n) % len(self.company)]
        return torch.stack([self._repeated(n), others], 1).flatten(0, 1)


class _OnePass(FixedContext):
    def rsample_and_log_prob(self, sample_shape: torch.Size = torch.Size()) -> tuple[Tensor, Tensor]:
        given = self._among_others(torch.Size(sample_shape).numel())
        x, log_q = self.conditional.rsample_and_log_prob(given=given)
        return x[::2].reshape(*sample_shape, *self.event_shape), log_q[::2].reshape(sample_shape)

    def parameters(self) -> Iterator[nn.Parameter]:
        return self.conditional.parameters()


class _Invertible(FixedContext):
    def to_latent(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.conditional.to_latent(x, given=self._repeated(len(x)))

    def from_latent(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return self.conditional.from_latent(z, given=self._repeated(len(z)))


class _Autoregressive(FixedContext):
    def conditional_cdf(self, x: Tensor) -> Tensor:
        return self.conditional.conditional_cdf(x, given=self._repeated(len(x)))


def at_context(model: Any, y: Float[Tensor, " k"], company: Float[Tensor, "m k"]) -> FixedContext:
    """The view that can all that the model can with contexts.

    Args:
        model: a conditional noise.
        y: the context.
        company: as of `FixedContext`.
    """
    kinds: dict[str, type[FixedContext]] = {
        "rsample_and_log_prob": _OnePass, "to_latent": _Invertible, "conditional_cdf": _Autoregressive,
    }  # fmt: skip
    able = [kind for method, kind in kinds.items() if _takes_contexts(model, method)]
    view: FixedContext = type("FixedContext", (*able, FixedContext), {})(model, y, company)
    return view


def _takes_contexts(model: Any, method: str) -> bool:
    found = getattr(model, method, None)
    return found is not None and "given" in inspect.signature(found).parameters
