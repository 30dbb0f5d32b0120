"""The energy as a density to sample from, in model coordinates."""

from typing import Any

import torch
from torch import Tensor
from torch.distributions.constraints import Constraint, real

from contrastive.core.estimator import Estimator
from contrastive.errors import ContrastiveError
from contrastive.protocols import DistributionBacked
from contrastive.sampling.kernels import LogDensity


def energy_target(estimator: Estimator, label: int | None = None) -> LogDensity:
    """log p up to a constant: of one class, or of the mixture of all.

    Where the noise lives on a part of space (`uniform`), so does the target: contrast says nothing of f elsewhere.

    Raises:
        ContrastiveError: if `label` is no class of the energy.
    """
    if label is None:
        density: LogDensity = estimator.model_log_prob
    else:
        classes = estimator.num_classes or 0
        if not 0 <= label < classes:
            has = f"has classes 0 to {classes - 1}" if classes else "has no classes"
            raise ContrastiveError(f"cannot sample class {label}: the energy {has}; leave out label for all of p")

        def density(z: Tensor) -> Tensor:
            return estimator.model_energy(z)[:, label]

    support = _bounded_support(estimator.noise)
    if support is None:
        return density
    constraint, event_shape = support
    return lambda z: torch.where(constraint.check(z.reshape(len(z), *event_shape)), density(z), -torch.inf)


def _bounded_support(noise: Any) -> tuple[Constraint, torch.Size] | None:
    """What a distribution says of its support, and the event shape it says it for; None for all of space."""
    if not isinstance(noise, DistributionBacked):
        return None
    distribution = noise.distribution()
    try:
        support: Any = distribution.support
    except NotImplementedError:  # torch's way to say that a distribution does not tell
        return None
    inner = support
    while hasattr(inner, "base_constraint"):
        inner = inner.base_constraint
    return None if inner is None or inner is real else (support, distribution.event_shape)
