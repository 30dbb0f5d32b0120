"""Held-out log-densities, the NCE value, overlap measures, and the error against a known density."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid, pdist

from contrastive.core.estimator import Estimator
from contrastive.data.images import PixelScaling
from contrastive.metrics.bits import bits_per_dim
from contrastive.numerics.chunks import rows_at_once
from contrastive.numerics.random_state import seeded
from contrastive.numerics.row_weights import rows_by_weight, weighted_mean, weights_of
from contrastive.numerics.statistics import mean_with_error
from contrastive.objectives.contrast import CHANCE_LEVEL, Contrast
from contrastive.protocols import NoiseModel

_ROWS = 10_000  # at once
_TOLD_APART, _FAR = 0.95, 0.75
_NO_GAIN = 0.1  # nats
_COLLAPSED = 0.5  # of what lies between two points of the data
_SPREAD_ROWS, _FEWEST_SPREAD = 100, 20
_REFERENCE_DRAWS = 4_000
_SIGNIFICANT = 2.0  # standard errors


@torch.no_grad()
def evaluate(
    estimator: Estimator,
    x: Float[Tensor, "n *event"],
    truth: NoiseModel | None = None,
    *,
    energy: bool = True,
    sample_weight: Float[Tensor, " n"] | None = None,
) -> dict[str, Any]:
    """Metrics at held-out data, in original units and nats. Leaves torch's random state as it was.

    Args:
        estimator: what is judged.
        x: held-out data; draws of `truth` where that is given.
        truth: the density that `x` comes from, with an exact `log_prob`.
        energy: False leaves out what needs a trained energy.
        sample_weight: of the rows, by which every mean over them is taken.

    Returns:
        `test_log_prob_noise` and what `noise_spread` gives; with `energy` also `test_log_prob_energy`,
        `log_normalizer`, `value`, `value_data`, `value_noise`, `accuracy` and what `noise_quality` gives; with `truth`,
        for each model, `mse_log_prob_*` = mean (log p_true - log p)^2 and `kl_*` = mean (log p_true - log p); for
        images `bits_per_dim_*` of each model. Those of the energy use the learned c. `test_gain`, the mean of
        log p - log q over the rows, and `test_gain_error`, its standard error.
    """
    log_true = None if truth is None else _in_parts(truth.log_prob, x).double()
    log_q = log_densities(estimator, x, energy=False)
    metrics: dict[str, Any] = {"test_log_prob_noise": float(weighted_mean(log_q, sample_weight))}
    metrics |= _errors("noise", log_true, log_q, sample_weight)
    metrics |= image_bits(estimator, "noise", metrics["test_log_prob_noise"])
    metrics |= noise_spread(estimator, x, sample_weight)
    if not energy:
        return metrics
    log_p = log_densities(estimator, x)
    metrics["test_log_prob_energy"] = float(weighted_mean(log_p, sample_weight))
    metrics |= _errors("energy", log_true, log_p, sample_weight)
    metrics |= image_bits(estimator, "energy", metrics["test_log_prob_energy"])
    metrics["test_gain"], metrics["test_gain_error"] = mean_with_error(log_p - log_q, sample_weight)
    metrics["log_normalizer"] = estimator.log_normalizer.tolist()  # a list for K classes
    contrast = _one_pass(estimator, estimator.model_coordinates(_few(x)), sample_weight)
    return metrics | {
        "value": float(contrast.value),
        "value_data": -float(contrast.data_term),
        "value_noise": -float(contrast.noise_term),
        "accuracy": float(contrast.accuracy),
        **noise_quality(contrast),
    }


@torch.no_grad()
def evaluate_training(
    estimator: Estimator,
    z: Float[Tensor, "n *event"],
    *,
    energy: bool = True,
    sample_weight: Float[Tensor, " n"] | None = None,
) -> dict[str, float]:
    """The figures that show overfitting, at rows that were trained on; see `evaluate`.

    Args:
        estimator: what is judged.
        z: training rows in model coordinates.
        energy: False leaves out what needs a trained energy.
        sample_weight: of the rows.

    Returns:
        `train_log_prob_noise` and, with `energy`, `train_log_prob_energy`, `train_accuracy`, `train_twice_jsd`.
    """
    x = estimator.scaling.inverse(z)
    log_q = log_densities(estimator, x, energy=False)
    figures = {"train_log_prob_noise": float(weighted_mean(log_q, sample_weight))}
    if not energy:
        return figures
    figures["train_log_prob_energy"] = float(weighted_mean(log_densities(estimator, x), sample_weight))
    contrast = _one_pass(estimator, _few(z), sample_weight)
    return figures | {"train_accuracy": float(contrast.accuracy), "train_twice_jsd": float(contrast.twice_jsd)}


@torch.no_grad()
def log_densities(estimator: Estimator, x: Float[Tensor, "n *event"], *, energy: bool = True) -> Float[Tensor, " n"]:
    """Log-densities at `x`, nats, float64: of the energy with the learned c, or of the noise.

    Args:
        estimator: what is judged.
        x: data in original units.
        energy: False judges the noise.
    """
    return _in_parts(estimator.log_prob if energy else estimator.noise_log_prob, x).double()


@torch.no_grad()
def held_out_values(estimator: Estimator, x: Float[Tensor, "n *event"], reference: NoiseModel) -> Float[Tensor, " n"]:
    """V of NCE against a reference noise, nats, by rows: log sigmoid(r(x)) + nu E_ref[log sigmoid(-r)], float64.

    Their mean is the value of Gutmann & Hyvarinen (2010), eq. 8, whose maximum over unnormalised densities is the
    normalised density of the data. The draws of the reference are the same each time.

    Args:
        estimator: what is judged.
        x: held-out data in original units.
        reference: in model coordinates; the estimator's own noise, or another.
    """
    log_nu = math.log(estimator.noise_ratio)

    def log_ratio(z: Tensor) -> Tensor:
        parts = z.split(rows_at_once(tuple(z.shape[1:]), _ROWS))
        if reference is estimator.noise:
            return torch.cat([estimator.model_log_ratio(part) for part in parts]).double()
        own = [estimator.model_log_prob(part) - reference.log_prob(part) for part in parts]
        return torch.cat(own).double() - log_nu

    count = rows_at_once(tuple(x.shape[1:]), _REFERENCE_DRAWS)
    with _same_draws(estimator):
        draws = reference.sample(torch.Size([count]))
    of_noise = estimator.noise_ratio * logsigmoid(-log_ratio(draws.to(estimator.log_normalizer.dtype))).mean()
    return (logsigmoid(log_ratio(estimator.model_coordinates(x))) + of_noise).cpu()


def image_bits(estimator: Estimator, name: str, log_prob: float) -> dict[str, float]:
    """`bits_per_dim_NAME` of a mean log-density where the units are pixel values; else nothing."""
    if not isinstance(estimator.scaling, PixelScaling):
        return {}
    return {f"bits_per_dim_{name}": bits_per_dim(log_prob, math.prod(estimator.scaling.event_shape))}


@torch.no_grad()
def noise_spread(
    estimator: Estimator, x: Float[Tensor, "n *event"], sample_weight: Float[Tensor, " n"] | None = None
) -> dict[str, float]:
    """Spread of the noise's samples relative to that of the data: the first figure to show mode collapse.

    Args:
        estimator: what is judged.
        x: data in original units.
        sample_weight: of the rows; 100 of them are drawn by it.

    Returns:
        `noise_spread`: median distance between two draws over that between two of the data, in model coordinates; 1
        where q is right. Nothing for fewer than 20 points, whose median says little, or where two of the data are the
        same more often than not.
    """
    if len(x) < _FEWEST_SPREAD:
        return {}
    with _same_draws(estimator):
        order = torch.randperm(len(x))  # rows may be sorted by class
        z = estimator.model_coordinates(x[_drawn(order, sample_weight, _SPREAD_ROWS)])
        draws = estimator.noise.sample(torch.Size([len(z)])).to(z.dtype)
    of_draws, of_data = (pdist(points.flatten(1)).median() for points in (draws, z))
    return {"noise_spread": float(of_draws / of_data)} if of_data > 0 else {}


@torch.no_grad()
def noise_quality(contrast: Contrast) -> dict[str, float]:
    """Overlap of noise and energy, if the learned density is right: how much the noise lets the energy learn.

    Returns:
        `overlap`: E_p[q / (p + q)], 1/2 for equal densities, 0 for disjoint ones. `relative_ess`: (E_p w)^2 / E_p[w^2]
        with w = 1 / (1 + p / (nu q)), NCE's weight of a data point: for how many of n points n count. `twice_jsd`: two
        times the Jensen-Shannon divergence of p and q, nats, from 0 to log 4: V + log 4 at nu = 1.
    """
    weight = torch.sigmoid(-contrast.r_data.double())
    return {
        "overlap": float(contrast.data_mean(torch.sigmoid(-contrast.r_data.double() - contrast.log_noise_ratio))),
        "relative_ess": float(contrast.data_mean(weight).square() / contrast.data_mean(weight.square())),
        "twice_jsd": float(contrast.twice_jsd),
    }


def noise_warning(metrics: dict[str, Any]) -> str:
    """A warning with what to do: the energy overfits or is below chance level, or the noise is far off or collapsed.

    Args:
        metrics: with `accuracy`, `twice_jsd` and, if there are such, `noise_spread`, the figures of `evaluate_training`
            and `test_gain`; of a learned noise also `test_log_prob_noise` and `test_log_prob_gaussian`.

    Returns:
        One sentence; empty if nothing is wrong.
    """
    accuracy, spread = metrics["accuracy"], metrics.get("noise_spread", 1.0)
    if overfits := _overfitting(metrics):
        return overfits
    loss = -metrics.get("twice_jsd", 0.0)
    if loss > -CHANCE_LEVEL:
        return (
            f"the NCE loss is {loss:.1f} nats above chance level: the energy has not learned the "
            "size of log q yet, so it says little about p, and its gradient does not inform the noise; train it "
            "longer, or begin from the noise (--energy tilted)"
        )
    if accuracy > _TOLD_APART:
        return (
            f"the discriminator's accuracy is {accuracy:.3f}: data and noise hardly overlap, so log p is "
            "mostly a guess, and adapting the noise cannot cure that; take a nearer one, or fit it first "
            "(--pretrain-steps)"
        )
    if spread < _COLLAPSED:
        return (
            f"the median distance between two noise samples is {spread:.2f} times that between two data points: the "
            "noise has dropped modes, or is not trained yet; fit it longer, or in FCE take a lower "
            "--noise-learning-rate or a higher --noise-likelihood-weight"
        )
    gain = metrics["test_log_prob_noise"] - metrics.get("test_log_prob_gaussian", -float("inf"))
    if accuracy > _FAR and gain < _NO_GAIN:
        return (
            f"on held-out data the noise is {gain:.2f} nats better than a Gaussian, and the accuracy is "
            f"{accuracy:.3f}: its family cannot follow these data, or it has not learned; take another (nsf, made), or "
            "fit it longer"
        )
    return ""


def _overfitting(metrics: dict[str, Any]) -> str:
    """Said where a model is good on training rows and bad on held-out ones; empty elsewhere."""
    if "train_log_prob_noise" not in metrics:
        return ""  # fresh draws, or an evaluation without training rows
    remedy = (
        "leave early stopping on (--early-stopping), take an energy that begins from the noise (--energy tilted), a "
        "smaller model or fewer --steps, or give more rows"
    )
    log_q = {part: metrics[f"{part}_log_prob_noise"] for part in ("train", "test")}
    if "train_log_prob_energy" in metrics:
        gained = metrics["train_log_prob_energy"] - log_q["train"]
        lost = metrics["test_gain"] < -max(_NO_GAIN, _SIGNIFICANT * metrics["test_gain_error"])
        misleads = metrics["twice_jsd"] < CHANCE_LEVEL
        if metrics["train_twice_jsd"] > CHANCE_LEVEL and (misleads or (lost and gained > 0)):
            return (
                f"the energy overfits: its log-density less the noise's is {gained:+.2f} nats on training rows and "
                f"{metrics['test_gain']:+.2f} on held-out rows; {remedy}"
            )
    gaussian = metrics.get("test_log_prob_gaussian", -math.inf)
    if log_q["test"] < gaussian - _NO_GAIN and log_q["train"] > gaussian:
        return (
            f"the noise overfits: its log-density is {log_q['train']:.2f} nats on the training rows and "
            f"{log_q['test']:.2f} on held-out rows, where a Gaussian has {gaussian:.2f}; {remedy}"
        )
    return ""


@contextmanager
def _same_draws(estimator: Estimator) -> Iterator[None]:
    """The same random numbers at every evaluation, to reduce the variance of curves; torch's random state is kept."""
    with seeded(0, estimator.log_normalizer.device):
        yield


def _few(x: Tensor) -> Tensor:
    """As many of the first rows as one pass takes."""
    return x[: 4 * rows_at_once(tuple(x.shape[1:]), _ROWS // 4)]


def _drawn(order: Tensor, sample_weight: Tensor | None, count: int) -> Tensor:
    """The first `count` rows of an order, or as many of it by weight."""
    if sample_weight is None:
        return order[:count]
    return order[rows_by_weight(sample_weight.cpu()[order], min(count, len(order)))]


def _one_pass(estimator: Estimator, z: Tensor, sample_weight: Tensor | None = None) -> Contrast:
    """Contrast of `z`, in model coordinates, with the same noise each time, by the weights of its rows."""
    with _same_draws(estimator):
        return estimator.contrast(z, sample_weight=weights_of(sample_weight, slice(len(z))))


def _in_parts(log_prob: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    rows = rows_at_once(tuple(x.shape[1:]), _ROWS)
    return torch.cat([log_prob(part).cpu() for part in x.split(rows)])


def _errors(name: str, log_true: Tensor | None, log_model: Tensor, weight: Tensor | None) -> dict[str, float]:
    if log_true is None:
        return {}
    gap = log_true - log_model
    figures = {f"mse_log_prob_{name}": weighted_mean(gap.square(), weight), f"kl_{name}": weighted_mean(gap, weight)}
    return {key: float(figure) for key, figure in figures.items()}
