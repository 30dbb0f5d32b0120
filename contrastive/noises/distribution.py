"""Any `torch.distributions.Distribution` as a noise, by object or by import path."""

import copy
import sys
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, Independent, Transform

from contrastive.errors import ContrastiveError, near
from contrastive.io.imports import foreign_code, import_installed_object, split_path
from contrastive.noises.base import Noise
from contrastive.numerics.torch_defaults import validation

_TORCHS = "torch.distributions"


class DistributionNoise(Noise):
    """A `torch.distributions.Distribution` as a fixed noise.

    The tensors of a distribution are not those of a module: they are copied to the device and dtype of the estimator,
    and the caller's object is left as it was.

    Args:
        distribution: a distribution with an empty batch shape.

    Raises:
        ContrastiveError: if the batch shape is not empty; the fix is `Independent(distribution, n)`.
    """

    anchor: Tensor

    def __init__(self, distribution: Distribution) -> None:
        super().__init__(distribution.event_shape)
        if distribution.batch_shape:
            raise ContrastiveError(
                f"the distribution has batch shape {tuple(distribution.batch_shape)}, a noise must be one density: "
                f"wrap it, torch.distributions.Independent(distribution, {len(distribution.batch_shape)})"
            )
        self.register_buffer("anchor", torch.empty(0), persistent=False)  # its device and dtype are the estimator's
        self._given = distribution
        self._moved: tuple[torch.device, torch.dtype, Distribution] | None = None

    @property
    def is_discrete(self) -> bool:
        """Whether the distribution is over separate points and `log_prob` a log-mass."""
        try:
            return bool(getattr(self._given.support, "is_discrete", False))
        except NotImplementedError:  # torch's distributions without a support
            return False

    def distribution(self) -> Distribution:
        """The distribution on this module's device and in its dtype."""
        device, dtype = self.anchor.device, self.anchor.dtype
        if self._moved is None or self._moved[:2] != (device, dtype):
            self._moved = (device, dtype, _move(self._given, device, dtype))
        return self._moved[2]

    @torch.no_grad()
    def sample(self, sample_shape: torch.Size = torch.Size()) -> Float[Tensor, "*shape"]:
        """Draws of shape `sample_shape + event_shape`."""
        return self.distribution().sample(torch.Size(sample_shape))

    def log_prob(self, value: Float[Tensor, "*shape"]) -> Float[Tensor, "*batch"]:
        """log q(value) in nats."""
        return self.distribution().log_prob(value)

    def extra_repr(self) -> str:
        """Shown by `print(noise)`."""
        return str(self._given)


def make_distribution(
    event_shape: tuple[int, ...], *, path: str, allow_import: bool = False, **arguments: Any
) -> DistributionNoise:
    """The distribution class at an import path: `--noise distribution --noise.path torch.distributions.Laplace`.

    Its parameters are broadcast over the event; entries of which the class makes a batch are independent.

    Args:
        event_shape: shape of one data point.
        path: of a subclass of `Distribution`, `package.module.Class`.
        allow_import: whether `path` may lead out of `torch.distributions`, to an installed module that is then
            imported. Importing runs code, and `path` may come with somebody else's run.
        **arguments: of the class; numbers and lists become tensors.

    Raises:
        ContrastiveError: if there is no such class, it may not be imported, it cannot be made, or it is over other
            events.
    """
    family = _family(path, allow_import)
    with foreign_code(f"{path} cannot be made of {arguments}"), validation(True):  # whatever the process has set
        distribution = family(**{name: _as_tensor(value) for name, value in arguments.items()})
    own = len(distribution.event_shape)
    batch = event_shape[: len(event_shape) - own]
    wrong = f"{path} is over events of shape {_shape_of(distribution)}, the data's are {tuple(event_shape)}"
    if own > len(event_shape) or tuple(distribution.event_shape) != tuple(event_shape[len(batch) :]):
        raise ContrastiveError(wrong)
    try:
        distribution = distribution.expand(torch.Size(batch))
    except RuntimeError as error:
        raise ContrastiveError(wrong) from error
    return DistributionNoise(Independent(distribution, len(batch)) if batch else distribution)


def _family(path: str, allow_import: bool) -> type[Distribution]:
    """The class at `path`; what is not of `torch.distributions` is imported if it may be, and not looked at if not."""
    if not isinstance(path, str):
        raise ContrastiveError(f"the path must be one such as torch.distributions.Laplace, got {path!r}")
    if (family := _of_torch(path)) is not None:
        return family
    if not allow_import:
        raise ContrastiveError(
            f"cannot import {path}: it is no class of torch.distributions{_near(path)}; one of an installed library "
            "that you trust takes --allow-import (in Python allow_import=True)"
        )
    found = import_installed_object(path)
    if not (isinstance(found, type) and issubclass(found, Distribution)):
        raise ContrastiveError(f"{path} is not a class of distributions")
    return found


def _of_torch(path: str) -> type[Distribution] | None:
    """The class of `torch.distributions` at `path`, looked up among what torch has loaded: nothing is imported."""
    module, name = split_path(path)
    if not _is_torchs(module) or module not in sys.modules:
        return None
    found = vars(sys.modules[module]).get(name)
    # Their modules hold other names too, of what they have imported.
    is_family = isinstance(found, type) and issubclass(found, Distribution) and _is_torchs(found.__module__)
    return found if is_family else None


def _is_torchs(module: str) -> bool:
    return module == _TORCHS or module.startswith(f"{_TORCHS}.")


def _near(path: str) -> str:
    """A half sentence with the classes of torch that `path` could have meant."""
    module, name = split_path(path)
    if module and not _is_torchs(module):
        return ""
    hint = near(name, torch.distributions.__all__)
    return f" ({hint})" if hint else ""


def _as_tensor(value: Any) -> Any:
    return torch.as_tensor(value, dtype=torch.get_default_dtype()) if isinstance(value, int | float | list) else value


def _shape_of(distribution: Distribution) -> tuple[int, ...]:
    return tuple(distribution.batch_shape + distribution.event_shape)


def _move(item: Any, device: torch.device, dtype: torch.dtype) -> Any:
    """A copy of a distribution, or of what it is made of, with its tensors moved."""
    if isinstance(item, Tensor):
        return item.detach().to(device, dtype if item.is_floating_point() else None)
    if isinstance(item, list | tuple):
        return type(item)(_move(part, device, dtype) for part in item) if type(item) in (list, tuple) else item
    if isinstance(item, Distribution | Transform):
        moved = copy.copy(item)
        # Through __dict__: setattr would trip over lazy properties.
        moved.__dict__.update({name: _move(part, device, dtype) for name, part in vars(item).items()})
        if isinstance(moved, Distribution):
            moved._validate_args = False  # it reads values back from the device in every call
        return moved
    return item
