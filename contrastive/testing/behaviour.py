"""Interface and side-effect checks of a noise: shapes, rows, modes, seeds, copies."""

from typing import Any

import torch
from torch import Tensor, nn

from contrastive.errors import ContrastiveError
from contrastive.noises import DistributionNoise
from contrastive.protocols import InitializableNoise, NoiseModel, is_discrete, prepare_noise
from contrastive.testing.core import (
    Check,
    NotApplicable,
    Subject,
    close,
    collect,
    gap,
    require,
    twin,
)

BEHAVIOUR: list[Check] = []
_SHAPES = [(), (1,), (7,), (2, 3)]
_FAR = [1e3, 1e6]
_FRESH_MODELS = 20
_PRECISION = 1e-7  # of float64 arithmetic through a deep flow; float32 is at 1e-4


@collect(BEHAVIOUR)
def _protocol(subject: Subject) -> None:
    """It has event_shape, sample and log_prob, and its event shape is the one asked for."""
    model = subject.fresh()
    require(isinstance(model, NoiseModel), f"{type(model).__name__} lacks event_shape, sample or log_prob")
    shape = tuple(model.event_shape)
    require(shape == subject.event_shape, f"event_shape is {shape}, asked for {subject.event_shape}")


@collect(BEHAVIOUR)
def _shapes(subject: Subject) -> None:
    """sample(S) has shape S + event_shape and log_prob of it has shape S."""
    model = subject.model()
    for shape in _SHAPES:
        x = model.sample(torch.Size(shape))
        require(
            tuple(x.shape) == shape + subject.event_shape,
            f"sample({shape}) has shape {tuple(x.shape)}, expected {shape + subject.event_shape}",
        )
        log_q = model.log_prob(x)
        require(
            tuple(log_q.shape) == shape,
            f"log_prob of {tuple(x.shape)} has shape {tuple(log_q.shape)}, expected {shape}: "
            "one number a point, the sum over the event's dimensions",
        )
        require(not x.requires_grad, "sample returns draws with a graph: wrap it in torch.no_grad()")


@collect(BEHAVIOUR)
def _float64(subject: Subject) -> None:
    """A model moved to float64 computes in float64, draws and scores, to the last digits."""
    model = subject.model()
    x = model.sample(torch.Size([64]))
    if not x.is_floating_point() or is_discrete(model):
        raise NotApplicable("the draws are discrete")
    require(x.dtype == torch.float64, f"the model is float64 but draws {x.dtype}")
    log_q = model.log_prob(x)
    require(
        log_q.dtype == torch.float64,
        f"the model and x are float64 but log_prob is {log_q.dtype}: something accumulates in a lower precision",
    )
    # A function computed in float32 inside does not see a change of x by 1e-9, or answers with rounding of 1e-7.
    x = subject.data(64)
    if not bool(torch.isfinite(model.log_prob(x)).all()):
        x = model.sample(torch.Size([64]))
    slope, rise = _rise(model, x)
    require(
        close(rise, slope, 1e-3) or bool((rise - slope).abs().median() < 1e-3),
        f"log_prob does not follow its own gradient for steps of 1e-6: {gap(rise, slope):.2g} off; "
        "either it is computed in float32 inside, or its gradient is wrong",
    )


@collect(BEHAVIOUR)
def _finite(subject: Subject) -> None:
    """log_prob is finite at the model's own draws, never NaN or +inf far away, and draws are finite."""
    model = subject.model()
    x = model.sample(torch.Size([1000]))
    require(bool(torch.isfinite(x).all()), "some draws are not finite")
    log_q = model.log_prob(x)
    require(
        bool(torch.isfinite(log_q).all()),
        f"log_prob is not finite at {int((~torch.isfinite(log_q)).sum())} of 1000 of the model's own draws",
    )
    if is_discrete(model):
        return
    for size in _FAR:
        far = model.log_prob(size * torch.randn_like(x))
        bad = int((far.isnan() | (far == torch.inf)).sum())
        require(bad == 0, f"log_prob is NaN or +inf at {bad} of 1000 points of size {size:g}: bound the scales")


@collect(BEHAVIOUR)
def _batch_independence(subject: Subject) -> None:
    """The score of a row does not depend on the other rows, their order or their number, in either mode."""
    model = subject.model()
    x = model.sample(torch.Size([32]))
    for mode in ("eval", "train"):
        if isinstance(model, nn.Module):
            model.train(mode == "train")
        whole = model.log_prob(x)
        alone = torch.stack([model.log_prob(row[None])[0] for row in x])
        require(
            close(whole, alone, _PRECISION),
            f"a row scored alone differs by {gap(whole, alone):.3g} nats from the same row in a batch ({mode} mode): "
            "batch statistics, or a log-determinant summed over the batch, leak between rows",
        )
        turned = model.log_prob(x.flip(0)).flip(0)
        require(
            close(whole, turned, _PRECISION),
            f"log_prob changes by {gap(whole, turned):.3g} nats when the rows are put in another order ({mode} mode)",
        )


@collect(BEHAVIOUR)
def _input_is_untouched(subject: Subject) -> None:
    """log_prob leaves its argument as it was."""
    model = subject.model()
    x = model.sample(torch.Size([16]))
    before = x.clone()
    model.log_prob(x)
    require(torch.equal(x, before), "log_prob edits the caller's tensor in place: write x = x - a, not x -= a")


@collect(BEHAVIOUR)
def _use_changes_nothing(subject: Subject) -> None:
    """Sampling and scoring change no parameter and no buffer, in train mode too."""
    model = _module(subject)
    for mode in ("eval", "train"):
        model.train(mode == "train")
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        x = model.sample(torch.Size([64]))
        model.log_prob(3 * x + 1 if not is_discrete(model) else x)
        changed = [name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])]
        require(
            not changed,
            f"using it in {mode} mode changes {', '.join(changed[:3])}: a density must not depend on who asked before",
        )


@collect(BEHAVIOUR)
def _modes_agree(subject: Subject) -> None:
    """Train and eval mode give the same density."""
    model = _module(subject)
    x = model.sample(torch.Size([64]))
    torch.manual_seed(subject.seed)
    trained = twin(model).train().log_prob(x)
    evaluated = twin(model).eval().log_prob(x)
    require(
        close(trained, evaluated, _PRECISION),
        f"log_prob differs by {gap(trained, evaluated):.3g} nats between train and eval mode: dropout or "
        "batch norm has no place in a density",
    )


@collect(BEHAVIOUR)
def _seeds(subject: Subject) -> None:
    """A seed fixes the draws, and draws that follow each other differ."""
    model = subject.model()
    torch.manual_seed(17)
    first = model.sample(torch.Size([32]))
    torch.manual_seed(17)
    again = model.sample(torch.Size([32]))
    require(torch.equal(first, again), "the same torch.manual_seed gives different draws: it draws elsewhere")
    require(not torch.equal(first, model.sample(torch.Size([32]))), "two calls of sample give the same draws")
    if not is_discrete(model):
        require(
            len(first.flatten(1).unique(dim=0)) > 1,
            "all draws of one call are the same point: one latent is shared by the batch",
        )


@collect(BEHAVIOUR)
def _copies(subject: Subject) -> None:
    """A deep copy, and a fresh model that loads the state_dict, are the same density."""
    model = subject.model()
    x = model.sample(torch.Size([64]))
    expected = model.log_prob(x)
    copied = twin(model)
    require(close(copied.log_prob(x), expected, _PRECISION), "a deep copy scores differently: it shares or loses state")
    if not isinstance(model, nn.Module) or isinstance(model, DistributionNoise):
        return
    # What a model draws when it is made may be the same by luck, a permutation of two numbers half of the time.
    for seed in range(subject.seed + 1, subject.seed + 1 + _FRESH_MODELS):
        loaded = subject.fresh(seed)
        loaded.load_state_dict(model.state_dict())
        loaded.train(model.training)
        scores = loaded.log_prob(x)
        require(
            close(scores, expected, _PRECISION),
            f"a fresh model that loaded the state_dict scores {gap(scores, expected):.3g} nats off: something that "
            "matters is not a parameter or a buffer (a permutation, a mean, a flag)",
        )
    for a, b in zip(model.parameters(), copied.parameters()):
        require(a.data_ptr() != b.data_ptr() or not a.numel(), "a deep copy shares parameters with the original")


@collect(BEHAVIOUR)
def _refuses_before_initialization(subject: Subject) -> None:
    """A model that must see data first says so, rather than setting itself by whatever comes."""
    model: Any = subject.fresh()
    needs_data = isinstance(model, InitializableNoise) and not model.is_initialized
    if not needs_data:
        raise NotApplicable("it needs no data before its first use")
    for name, use in (
        ("sample", lambda: model.sample(torch.Size([4]))),
        ("log_prob", lambda: model.log_prob(subject.data(4))),
    ):
        try:
            use()
        except ContrastiveError:
            continue
        require(False, f"{name} works before initialize(x): a flow initialised by its own noise fits nothing")
    prepare_noise(model, subject.data(500))
    require(model.is_initialized, "is_initialized is still False after initialize(x)")


@collect(BEHAVIOUR)
def _device(subject: Subject) -> None:
    """Draws and scores are made where the parameters are (tried on the GPU, or on torch's meta device)."""
    model = _module(subject)
    device = "cuda" if torch.cuda.is_available() else "meta"
    x = model.sample(torch.Size([4])).to(device)
    try:
        model.to(device)
        log_q, drawn = model.log_prob(x), model.sample(torch.Size([4]))
    except Exception as error:
        if device == "cuda" or "expected device" in str(error) or "same device" in str(error):
            require(False, f"it mixes devices: {error}")
        raise NotApplicable(f"the meta device cannot run it ({type(error).__name__})") from error
    for name, tensor in (("log_prob", log_q), ("sample", drawn)):
        require(tensor.device.type == device, f"{name} is on {tensor.device.type}, the model on {device}")


def _module(subject: Subject) -> Any:
    model = subject.model()
    if not isinstance(model, nn.Module):
        raise NotApplicable("not a module")
    return model


def _rise(model: NoiseModel, x: Tensor) -> tuple[Tensor, Tensor]:
    """The directional derivative of log_prob in x by autograd and by a central difference of step 1e-6."""
    x = x.detach().requires_grad_()
    log_q = model.log_prob(x)
    if not log_q.requires_grad:
        return torch.zeros(1), torch.zeros(1)
    direction = torch.randn_like(x)
    (score,) = torch.autograd.grad(log_q.sum(), x)
    with torch.no_grad():
        step = 1e-6 * direction
        rise = (model.log_prob(x + step) - model.log_prob(x - step)) / 2e-6
    slope = (score * direction).flatten(1).sum(1)
    usable = rise.isfinite() & slope.isfinite()
    return slope[usable], rise[usable]
