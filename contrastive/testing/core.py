"""Checks, their subjects and their outcomes."""

import copy
import inspect
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from contrastive.errors import ContrastiveError
from contrastive.noises import DistributionNoise, Gaussian
from contrastive.noises.conditional import joint_noise
from contrastive.numerics.random_state import seeded
from contrastive.protocols import ConditionalNoise, NoiseAwareEnergy, ShapedModel, is_discrete, prepare_noise
from contrastive.registry import energies, noises

Kind = Literal["noise", "energy", "bijection", "conditional"]

_CONTEXTS = 500  # that rows are drawn with


class CheckFailed(AssertionError):
    """A model does not hold what its protocol promises; the message says what is wrong with the density."""


class NotApplicable(Exception):
    """A check does not apply to the model; the message says why."""


@dataclass(frozen=True)
class Check:
    """One named property.

    Args:
        name: as it is shown and selected.
        proves: one sentence.
        run: raises `CheckFailed` or `NotApplicable`.
    """

    name: str
    proves: str
    run: Callable[["Subject"], None]


@dataclass(frozen=True)
class Outcome:
    """The verdict of one check, "passed", "failed" or "not applicable", with the reason for the last two."""

    check: str
    proves: str
    verdict: Literal["passed", "failed", "not applicable"]
    reason: str
    seconds: float


@dataclass(frozen=True)
class Subject:
    """A model to be checked, made anew for every check.

    Args:
        factory: makes a fresh model, without arguments.
        kind: which protocol it claims.
        event_shape: shape of one data point.
        seed: of everything random.
        rows: draws that the statistical checks take.
        false_alarm: largest probability that a statistical check fails a correct model.
        strength: size of the perturbation of every parameter, relative to its own.
        context_shape: shape of one context, `(k,)`, of a conditional noise.
    """

    factory: Callable[[], Any]
    kind: Kind
    event_shape: tuple[int, ...]
    seed: int = 0
    rows: int = 20_000
    false_alarm: float = 1e-6
    strength: float = 0.3
    context_shape: tuple[int, ...] = ()

    @property
    def dim(self) -> int:
        """Numbers in one event."""
        return math.prod(self.event_shape)

    def data(self, n: int, dtype: torch.dtype = torch.float64) -> Tensor:
        """`n` correlated, skewed events of mean about 1 and standard deviation about 2."""
        generator = torch.Generator().manual_seed(self.seed)
        mix = torch.eye(self.dim, dtype=dtype) + 0.3 * torch.randn(
            self.dim, self.dim, generator=generator, dtype=dtype
        ) / math.sqrt(self.dim)
        g = torch.randn(n, self.dim, generator=generator, dtype=dtype)
        return (1 + (2 * g + 0.3 * g.square()) @ mix).reshape(n, *self.event_shape)

    def fresh(self, seed: int | None = None) -> Any:
        """The model as the factory makes it, in float64."""
        torch.manual_seed(self.seed if seed is None else seed)
        model = self.factory()
        if isinstance(model, Distribution):
            model = DistributionNoise(model)
        if isinstance(model, NoiseAwareEnergy):
            model.start_from(Gaussian(self.event_shape, loc=0.0))
        return model.double() if isinstance(model, nn.Module) else model

    def model(self) -> Any:
        """A model that is initialised on data, with every parameter perturbed, in eval mode."""
        if self.kind == "conditional":
            return self.over_rows().model().conditional
        model = self.fresh()
        if self.kind == "noise":
            prepare_noise(model, model.sample(torch.Size([2000])) if is_discrete(model) else self.data(2000))
        if isinstance(model, nn.Module):
            model.eval()
            randomize(model, self.strength)
        return model

    def over_rows(self) -> "Subject":
        """Of a conditional noise q(x | y): the noise over joint rows (x, y), its contexts those of the data."""
        (d,), (k,) = self.event_shape, self.context_shape
        rows = replace(self, kind="noise", event_shape=(d + k,), context_shape=())
        contexts = rows.data(_CONTEXTS)[:, d:]
        return replace(rows, factory=lambda: joint_noise(self.factory(), contexts))


@torch.no_grad()
def randomize(model: nn.Module, strength: float) -> None:
    """Perturb every trainable parameter: a fresh flow is near the identity, where many defects do not show."""
    for parameter in model.parameters():
        if parameter.requires_grad and parameter.numel():
            fan_in = parameter[0].numel() if parameter.ndim > 1 else parameter.numel()
            size = max(float(parameter.square().mean().sqrt()), fan_in**-0.5)
            parameter.add_(strength * size * torch.randn_like(parameter))


def random_directions(tensors: Iterable[Tensor]) -> list[Tensor]:
    """A random step for each tensor, in proportion to its size."""
    sizes = ((t.detach(), max(float(t.detach().square().mean().sqrt()), 0.1)) for t in tensors)
    return [size * torch.randn_like(t) for t, size in sizes]


def twin(model: Any) -> Any:
    """A deep copy that shares nothing."""
    return copy.deepcopy(model)


def close(a: Tensor, b: Tensor, tolerance: float) -> bool:
    """Whether two tensors agree to `tolerance`, relative to 1 + their size; equal infinities agree."""
    return bool(torch.isclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True).all())


def gap(a: Tensor, b: Tensor) -> float:
    """The largest difference, for messages."""
    return float((a - b).detach().abs().nan_to_num(nan=math.inf).max())


def make_subject(
    target: Any,
    kind: Kind,
    event_shape: Iterable[int] | None = None,
    context_shape: Iterable[int] | None = None,
    **settings: Any,
) -> Subject:
    """A subject from a registered name, a factory, or a ready model (copied for every check).

    Args:
        target: what is to be checked; a factory is called with `event_shape`, and `context_shape` of a conditional
            noise, if it takes that, with nothing else. Of a factory with a conditional counterpart that one is checked.
        kind: which protocol it claims.
        event_shape: shape of one data point (default: the noise's own; `(2,)` for a name).
        context_shape: shape of one context of a conditional noise (default: likewise).
        **settings: fields of `Subject`.

    Raises:
        ContrastiveError: if the target cannot be made, or the shapes are not known, or no vectors where they must be.
    """
    shapes: dict[str, Any] = {} if event_shape is None else {"event_shape": tuple(event_shape)}
    if context_shape is not None:
        shapes["context_shape"] = tuple(context_shape)
    if isinstance(target, str):
        shapes = {"event_shape": (2,)} | ({"context_shape": (2,)} if kind == "conditional" else {}) | shapes
        registry = energies if kind == "energy" else noises
        factory: Callable[[], Any] = partial(registry.make, target, **shapes)
    elif isinstance(target, Distribution | nn.Module):
        factory = partial(twin, target)
    elif callable(target):
        target = getattr(target, "conditional", target) if kind == "conditional" else target
        taken = inspect.signature(target).parameters
        factory = partial(target, **{name: shape for name, shape in shapes.items() if name in taken})
    else:
        raise ContrastiveError(f"cannot check a {type(target).__name__}: give a name, a factory or a module")
    for name in ("event_shape", "context_shape") if kind == "conditional" else ("event_shape",):
        if name not in shapes:
            shapes[name] = _own_shape(factory(), name)
    if kind == "conditional" and [len(shape) for shape in shapes.values()] != [1, 1]:
        raise ContrastiveError(f"a conditional noise is over vectors given vectors, got {list(shapes.values())}")
    return Subject(factory, kind, **shapes, **settings)


def _own_shape(made: Any, name: str) -> tuple[int, ...]:
    protocol = ShapedModel if name == "event_shape" else ConditionalNoise
    if not isinstance(made, protocol):
        raise ContrastiveError(f"the model has no {name}: pass {name}=")
    return tuple(getattr(made, name))


def run_checks(subject: Subject, checks: Iterable[Check]) -> Iterable[Outcome]:
    """Run every check on a fresh model, the global random state left as it was."""
    for check in checks:
        started = time.monotonic()
        verdict, reason = "passed", ""
        with seeded(subject.seed):
            try:
                check.run(subject)
            except NotApplicable as skipped:
                verdict, reason = "not applicable", str(skipped)
            except CheckFailed as failure:
                verdict, reason = "failed", str(failure)
            except (Exception, SystemExit) as error:  # a stranger's model may raise anything, and that is a finding
                verdict, reason = "failed", f"it raised {type(error).__name__}: {error}"
        yield Outcome(check.name, check.proves, verdict, reason, time.monotonic() - started)  # type: ignore[arg-type]


def collect(checks: list[Check]) -> Callable[[Callable[[Subject], None]], Callable[[Subject], None]]:
    """Decorator that adds a function to `checks`: its name and the first line of its docstring are the check's."""

    def add(function: Callable[[Subject], None]) -> Callable[[Subject], None]:
        proves = (function.__doc__ or "").strip().splitlines()[0]
        checks.append(Check(function.__name__.strip("_").replace("_", "-"), proves, function))
        return function

    return add


def require(condition: bool, message: str) -> None:
    """Fail with `message` unless the condition holds."""
    if not condition:
        raise CheckFailed(message)
