"""How good a K-class energy is as a classifier, and how far its probabilities can be believed."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from contrastive.core.estimator import Estimator
from contrastive.numerics.row_weights import weighted_mean, weights_of

_ROWS = 10_000  # at once
_BINS = 15


class Reliability(NamedTuple):
    """Bins of equal width of the largest probability; an empty bin has NaN for both means."""

    confidence: Float[Tensor, " bins"]
    accuracy: Float[Tensor, " bins"]
    share: Float[Tensor, " bins"]

    @property
    def expected_calibration_error(self) -> float:
        """Mean distance of accuracy and confidence, each bin by its share: Guo et al. (2017), eq. 3."""
        return float(((self.accuracy - self.confidence).abs() * self.share).nansum())


@torch.no_grad()
def classification(
    estimator: Estimator,
    x: Float[Tensor, "n *event"],
    y: Int[Tensor, " n"],
    sample_weight: Float[Tensor, " n"] | None = None,
) -> dict[str, float]:
    """`test_error`, `test_log_loss` (nats) and `test_calibration_error` of the rows that have a label.

    Args:
        estimator: with classes.
        x: held-out data in original units.
        y: their classes; -1 is unlabelled, and left out.
        sample_weight: of the rows.
    """
    known = y >= 0
    if not bool(known.any()):
        return {}
    log_p = predict_log_proba(estimator, x[known])
    y = y[known].to(log_p.device)
    weight = weights_of(sample_weight, known)
    return {
        "test_error": float(weighted_mean((log_p.argmax(1) != y).double(), weight)),
        "test_log_loss": float(weighted_mean(-log_p.gather(1, y[:, None]).squeeze(1), weight)),
        "test_calibration_error": reliability(log_p.exp(), y, sample_weight=weight).expected_calibration_error,
    }


@torch.no_grad()
def predict_log_proba(estimator: Estimator, x: Float[Tensor, "n *event"]) -> Float[Tensor, "n K"]:
    """log P(k | x) in float64 on the CPU, in parts."""
    parts = (estimator.class_logits(estimator.model_coordinates(part)).cpu().double() for part in x.split(_ROWS))
    return torch.cat([part.log_softmax(1) for part in parts])


def reliability(
    proba: Float[Tensor, "n K"],
    y: Int[Tensor, " n"],
    bins: int = _BINS,
    sample_weight: Float[Tensor, " n"] | None = None,
) -> Reliability:
    """How often the predicted class is right, over how probable it was said to be; rows count by their weights."""
    confidence, predicted = proba.double().max(1)
    right = (predicted == y).double()
    index = (confidence * bins).long().clamp_max(bins - 1)
    weight = torch.ones_like(right) if sample_weight is None else sample_weight
    count = torch.bincount(index, weight, bins)

    def mean(values: Tensor) -> Tensor:
        return torch.bincount(index, weight * values, bins) / count

    return Reliability(mean(confidence), mean(right), count / weight.sum())
