"""Checks of an energy: f(x), the unnormalised log-density."""

import math

import torch
from torch import Tensor, nn

from contrastive.protocols import KnownPartition, is_discrete, num_classes
from contrastive.testing.core import Check, NotApplicable, Subject, close, collect, gap, require, twin
from contrastive.testing.densities import integrate_exp

ENERGY: list[Check] = []
_PRECISION = 1e-7


@collect(ENERGY)
def _shape(subject: Subject) -> None:
    """f has shape (batch,), or (batch, K) with K given by num_classes, and the dtype of the model."""
    model = subject.model()
    classes = num_classes(model)
    for n in (1, 7):
        f = model(_points(subject, model, n))
        expected = (n,) if classes is None else (n, classes)
        require(
            tuple(f.shape) == expected,
            f"f of {n} events has shape {tuple(f.shape)}, expected {expected} (num_classes is {classes}); "
            "a last layer of one unit needs squeeze(-1)",
        )
        require(f.dtype == torch.float64, f"the model and x are float64 but f is {f.dtype}")


@collect(ENERGY)
def _rows_are_scored_alone(subject: Subject) -> None:
    """f of a row depends neither on the other rows nor on their order, and x is left as it was."""
    model = subject.model()
    x = _points(subject, model, 32)
    before, whole = x.clone(), model(x)
    require(torch.equal(x, before), "the energy edits the caller's tensor in place")
    alone = torch.stack([model(row[None])[0] for row in x])
    require(
        close(whole, alone, _PRECISION),
        f"f of a row alone differs by {gap(whole, alone):.3g} from the same row in a batch: batch norm, or a sum over "
        "the batch, makes the energy depend on its neighbours",
    )
    turned = model(x.flip(0)).flip(0)
    require(close(whole, turned, _PRECISION), "f changes when the rows are put in another order")


@collect(ENERGY)
def _finite(subject: Subject) -> None:
    """f is finite at data and never NaN or +inf at points of size 1e3."""
    model = subject.model()
    x = _points(subject, model, 500)
    require(bool(torch.isfinite(model(x)).all()), "f is not finite at ordinary points")
    if not is_discrete(model):
        far = model(1e3 * torch.randn_like(x))
        require(not bool((far.isnan() | (far == torch.inf)).any()), "f is NaN or +inf at points of size 1e3")


@collect(ENERGY)
def _gradient(subject: Subject) -> None:
    """The gradient of f is finite, that of finite differences in x, and reaches every trainable parameter."""
    model = subject.model()
    x = _points(subject, model, 64).requires_grad_(not is_discrete(model))
    f = model(x)
    parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
    f.sum().backward()
    unreached = [name for name, p in parameters.items() if p.grad is None]
    require(not unreached, f"no gradient reaches {', '.join(unreached[:3])}")
    wrong = [name for name, p in parameters.items() if not bool(torch.isfinite(p.grad).all())]
    require(not wrong, f"the gradient of {', '.join(wrong[:3])} is not finite")
    if is_discrete(model):
        return
    assert x.grad is not None
    require(bool(torch.isfinite(x.grad).all()), "the gradient in x is not finite")
    with torch.no_grad():
        direction = torch.randn_like(x)
        rise = (model(x + 1e-6 * direction) - model(x - 1e-6 * direction)) / 2e-6
        rise = rise.reshape(len(x), -1).sum(1)
    slope = (x.grad * direction).flatten(1).sum(1)
    require(
        bool(((rise - slope).abs() <= 1e-3 * (1 + slope.abs())).float().mean() > 0.9),  # a kink may lie between
        f"the gradient in x is {gap(rise, slope):.3g} off finite differences: f is cut from its graph or computed in "
        "float32",
    )


@collect(ENERGY)
def _use_changes_nothing(subject: Subject) -> None:
    """Scoring changes no parameter and no buffer, in train mode too."""
    model = subject.model()
    if not isinstance(model, nn.Module):
        raise NotApplicable("not a module")
    model.train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model(_points(subject, model, 32))
    changed = [name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])]
    require(not changed, f"scoring in train mode changes {', '.join(changed[:3])}")


@collect(ENERGY)
def _copies(subject: Subject) -> None:
    """A deep copy, and a fresh model that loads the state_dict, are the same energy."""
    model = subject.model()
    x = _points(subject, model, 64)
    require(close(twin(model)(x), model(x), _PRECISION), "a deep copy scores differently")
    if isinstance(model, nn.Module):
        loaded = subject.fresh(subject.seed + 1).eval()
        loaded.load_state_dict(model.state_dict())
        require(
            close(loaded(x), model(x), _PRECISION),
            "a fresh model that loaded the state_dict scores differently: something is not a parameter or a buffer",
        )


@collect(ENERGY)
@torch.no_grad()
def _log_partition(subject: Subject) -> None:
    """A log Z that the energy claims (`log_partition()`) is the log of the integral of exp(f), in 1-D and 2-D."""
    model = subject.model()
    if not isinstance(model, KnownPartition):
        raise NotApplicable("it does not know its log Z")
    if subject.dim > 2 or is_discrete(model):
        raise NotApplicable("quadrature is for continuous energies in 1-D and 2-D")
    claimed = float(model.log_partition())
    x = subject.data(4000)
    total, error = integrate_exp(lambda points: model(points) - claimed, x, subject)
    require(
        abs(total - 1) <= 2e-3 + 3 * error,
        f"exp(f - log_partition()) integrates to {total:.4g} (quadrature error {error:.1g}), not 1: log Z is "
        f"{math.log(max(total, 1e-300)):.3g} nats off",
    )


def _points(subject: Subject, model: object, n: int) -> Tensor:
    x = subject.data(n)
    return (x > 1).double() * 2 - 1 if is_discrete(model) else x
