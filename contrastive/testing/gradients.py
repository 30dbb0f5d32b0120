"""Checks of what FCE needs: samples and their log q in one pass, with pathwise gradients."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import functional_call

from contrastive.protocols import AdaptiveNoise, NoiseModel
from contrastive.testing.core import (
    Check,
    NotApplicable,
    Subject,
    close,
    collect,
    gap,
    random_directions,
    require,
)

GRADIENTS: list[Check] = []
_ROWS = 16


@collect(GRADIENTS)
def _gradient_of_log_prob(subject: Subject) -> None:
    """The gradient of log_prob in the parameters is that of finite differences, as maximum likelihood and FCE need."""
    model = subject.model()
    named = _trainable(model)
    x = subject.data(_ROWS)
    with torch.no_grad():
        if not bool(torch.isfinite(model.log_prob(x)).all()):
            x = model.sample(torch.Size([_ROWS]))
    weights = torch.randn(_ROWS, dtype=torch.float64)

    def functional(*values: Tensor) -> Tensor:
        log_q = functional_call(_LogProb(model), dict(zip(_prefixed(named), values)), (x,))
        return weights @ (log_q / subject.dim).tanh()

    values = [p.detach().clone().requires_grad_() for p in named.values()]
    result = functional(*values)
    require(result.requires_grad, "log_prob has no graph: it is computed under no_grad, or from detached parameters")
    gradients = torch.autograd.grad(result, values, allow_unused=True)
    _compare_with_differences(functional, values, gradients, "log_prob", "a parameter is detached inside log_prob")


@collect(GRADIENTS)
@torch.no_grad()
def _one_pass_agrees_with_two(subject: Subject) -> None:
    """The log q of rsample_and_log_prob is log_prob at the drawn points, with the right shapes."""
    model = _adaptive(subject)
    for shape in [(), (5,), (2, 3)]:
        x, log_q = model.rsample_and_log_prob(torch.Size(shape))
        shapes = (tuple(x.shape), tuple(log_q.shape))
        expected = (shape + subject.event_shape, shape)
        require(shapes == expected, f"rsample_and_log_prob({shape}) has shapes {shapes}, expected {expected}")
        scored = model.log_prob(x)
        require(
            close(log_q, scored, 1e-5),
            f"log q of one pass differs by {gap(log_q, scored):.3g} nats from log_prob at the drawn points: the "
            "log-determinant of the way there is not that of the way back",
        )


@collect(GRADIENTS)
def _gradient_is_pathwise(subject: Subject) -> None:
    """With the base noise frozen, autograd's gradient of draws and log q is that of finite differences."""
    model = _adaptive(subject)
    named = _trainable(model)
    weights = torch.randn(subject.dim, dtype=torch.float64)

    def functional(*values: Tensor) -> Tensor:
        torch.manual_seed(subject.seed + 1)
        x, log_q = functional_call(_OnePass(model), dict(zip(_prefixed(named), values)), ())
        return (x.reshape(_ROWS, -1).tanh() @ weights).mean() + 0.3 * (log_q / subject.dim).tanh().mean()

    values = [p.detach().clone().requires_grad_() for p in named.values()]
    gradients = torch.autograd.grad(functional(*values), values, allow_unused=True)
    reached = [g for g in gradients if g is not None]
    require(
        bool(reached) and any(bool(g.abs().max() > 0) for g in reached if g.numel()),
        "the draws have no gradient in any parameter: they were detached, or made under no_grad",
    )
    _compare_with_differences(
        functional, values, gradients, "the draws", "part of the path x = g(z) from a frozen base noise is detached"
    )


@collect(GRADIENTS)
def _sees_an_optimizer_step(subject: Subject) -> None:
    """After the parameters change in place, both directions use the new ones: nothing stale is cached."""
    model = _adaptive(subject)
    trainable = list(_trainable(model).values())
    with torch.no_grad():
        fixed = model.sample(torch.Size([8]))
    before = model.log_prob(fixed).detach()
    model.rsample_and_log_prob(torch.Size([8]))
    optimizer = torch.optim.SGD(trainable, 0.05)
    (-model.log_prob(fixed).mean()).backward()
    norm = torch.nn.utils.clip_grad_norm_(trainable, 1.0)
    optimizer.step()
    with torch.no_grad():
        x, log_q = model.rsample_and_log_prob(torch.Size([32]))
        scored = model.log_prob(x)
        after = model.log_prob(fixed)
    require(
        close(log_q, scored, 1e-5),
        f"after an optimiser step one pass and log_prob differ by {gap(log_q, scored):.3g} nats: an inverse or a "
        "determinant is cached and stale",
    )
    require(
        float(norm) == 0 or not torch.equal(before, after), "log_prob is the same after an optimiser step: it is stale"
    )


class _LogProb(torch.nn.Module):
    """log_prob as the forward of a module, for `functional_call`."""

    def __init__(self, noise: NoiseModel) -> None:
        super().__init__()
        self.noise = noise

    def forward(self, x: Tensor) -> Tensor:
        return self.noise.log_prob(x)


class _OnePass(torch.nn.Module):
    """rsample_and_log_prob as the forward of a module, for `functional_call`."""

    def __init__(self, noise: AdaptiveNoise) -> None:
        super().__init__()
        self.noise = noise

    def forward(self) -> tuple[Tensor, Tensor]:
        return self.noise.rsample_and_log_prob(torch.Size([_ROWS]))


def _prefixed(named: dict[str, torch.nn.Parameter]) -> list[str]:
    return [f"noise.{name}" for name in named]


def _trainable(model: object) -> dict[str, torch.nn.Parameter]:
    named = model.named_parameters() if isinstance(model, torch.nn.Module) else ()
    trainable = {name: p for name, p in named if p.requires_grad}
    if not trainable:
        raise NotApplicable("it has no trainable parameters")
    return trainable


def _adaptive(subject: Subject) -> AdaptiveNoise:
    model = subject.model()
    if not isinstance(model, AdaptiveNoise):
        raise NotApplicable("it has no rsample_and_log_prob")
    return model


def _compare_with_differences(
    functional: Callable[..., Tensor],
    values: list[Tensor],
    gradients: tuple[Tensor | None, ...],
    of: str,
    cause: str,
    step: float = 1e-6,
) -> None:
    """Along several random directions, against central differences."""
    for _ in range(4):
        directions = random_directions(values)
        with torch.no_grad():
            above = functional(*[v + step * d for v, d in zip(values, directions)])
            below = functional(*[v - step * d for v, d in zip(values, directions)])
        slope = sum(((g * d).sum() for g, d in zip(gradients, directions) if g is not None), torch.zeros(()))
        difference = (above - below) / (2 * step)
        require(
            close(torch.as_tensor(slope, dtype=torch.float64), difference, 1e-4),
            f"the gradient of {of} is {float(slope):.6g}, finite differences give {float(difference):.6g}: {cause}",
        )
