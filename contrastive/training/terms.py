"""Terms of the energy's loss beside the contrastive one: labels, virtual adversarial training, gradient penalty."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from jaxtyping import Float
from torch import Tensor, nn

from contrastive.config import ResolvedConfig
from contrastive.core.estimator import Estimator
from contrastive.data.sources import Batch
from contrastive.errors import ContrastiveError
from contrastive.objectives.gradient_penalty import gradient_penalty
from contrastive.objectives.supervised import labelled_loss
from contrastive.objectives.virtual_adversarial import virtual_adversarial_loss

_STEP = 0.05  # of virtual adversarial training, in standard deviations a coordinate; Miyato et al. take 2.5 at d = 3072


class EnergyTerm(Protocol):
    """A term that is added to the energy's contrastive loss."""

    def __call__(self, estimator: Estimator, batch: Batch) -> Float[Tensor, ""]:
        """The weighted term, shape `()`, differentiable in (f, c)."""
        ...


class LabelledTerm:
    """The cross-entropy of the labels, from the labelled batch, or the labels of the batch itself where it has none.

    Args:
        weight: factor of the mean over labelled rows.
    """

    def __init__(self, weight: float) -> None:
        self.weight = weight

    def __call__(self, estimator: Estimator, batch: Batch) -> Float[Tensor, ""]:
        """The weighted mean of -log P(y | x)."""
        z, y = (batch.z, batch.y) if batch.labelled is None else batch.labelled
        if y is None:
            return z.new_zeros(())
        return self.weight * labelled_loss(estimator.class_logits(z), y)


class VirtualAdversarialTerm:
    """Virtual adversarial training on every point of the batch; its labels have no part.

    Dropout is off, in the power iteration and in the loss: a KL between two dropout masks would not be the step's.

    Args:
        weight: factor of the mean over points.
        epsilon: Euclidean norm of the perturbation, in model coordinates.
        power_iterations: to find its direction.
    """

    def __init__(self, weight: float, epsilon: float, power_iterations: int) -> None:
        self.weight, self.epsilon, self.power_iterations = weight, epsilon, power_iterations

    def __call__(self, estimator: Estimator, batch: Batch) -> Float[Tensor, ""]:
        """The weighted mean of KL(P(. | z) || P(. | z + r))."""
        with dropout_off(estimator.energy):
            loss = virtual_adversarial_loss(
                estimator.class_logits, batch.z, epsilon=self.epsilon, power_iterations=self.power_iterations
            )
        return self.weight * loss


class GradientPenaltyTerm:
    """R1: the penalty on the gradient of the log-ratio at the batch.

    Args:
        weight: gamma of Mescheder et al. (2018).
    """

    def __init__(self, weight: float) -> None:
        self.weight = weight

    def __call__(self, estimator: Estimator, batch: Batch) -> Float[Tensor, ""]:
        """gamma / 2 times the mean of |dr/dz|^2."""
        return self.weight * gradient_penalty(estimator.model_log_ratio, batch.z)


def make_terms(config: ResolvedConfig, estimator: Estimator, *, labelled: bool) -> list[EnergyTerm]:
    """The terms of the energy's loss that a config asks for.

    Args:
        config: of the run.
        estimator: whose energy is to be trained.
        labelled: whether the data have labels.

    Raises:
        ContrastiveError: if virtual adversarial training is asked of an energy without classes, or nothing is left
            to learn from.
    """
    terms: list[EnergyTerm] = []
    if labelled and config.labels.weight:
        terms.append(LabelledTerm(config.labels.weight))
    if config.labels.vat.weight:
        if estimator.num_classes is None:
            raise ContrastiveError("labels.vat.weight is for energies with classes: name labels, or leave it out")
        epsilon = config.labels.vat.epsilon or _STEP * math.sqrt(math.prod(estimator.noise.event_shape))
        terms.append(VirtualAdversarialTerm(config.labels.vat.weight, epsilon, config.labels.vat.power_iterations))
    if config.game.energy.gradient_penalty:
        terms.append(GradientPenaltyTerm(config.game.energy.gradient_penalty))
    if not config.game.contrast_weight and not any(isinstance(term, LabelledTerm) for term in terms):
        raise ContrastiveError("contrast_weight 0 leaves the energy the labels to learn from, but there are none")
    return terms


def total(terms: Sequence[EnergyTerm], loss: Tensor, estimator: Estimator, batch: Batch) -> Tensor:
    """`loss` plus every term."""
    for term in terms:
        loss = loss + term(estimator, batch)
    return loss


@contextmanager
def dropout_off(model: Any) -> Iterator[None]:
    """Context in which `model`, if it is a module, is in evaluation mode; then as it was."""
    if not isinstance(model, nn.Module) or not model.training:
        yield
        return
    model.eval()
    try:
        yield
    finally:
        model.train()
