"""Checks that log_prob is a normalised density, and that of the draws."""

import math
from collections.abc import Callable
from itertools import pairwise, product

import numpy as np
import scipy.integrate
import torch
from torch import Tensor, nn

from contrastive.noises.student_t import StudentT
from contrastive.protocols import (
    AdaptiveNoise,
    AutoregressiveNoise,
    MixedNoise,
    NoiseModel,
    is_discrete,
    trainable_parameters,
)
from contrastive.testing.core import Check, NotApplicable, Subject, collect, random_directions, require
from contrastive.testing.mixed import support
from contrastive.testing.statistics import bernstein_radius, dkw_radius, normal_threshold, random_cosines

DENSITY: list[Check] = []
_COSINES = 64
_TOLERANCE = 2e-3  # of the integral, besides the quadrature's own error
_LEAST_OVERLAP = 0.01
_GRID = 20_001
_CELLS = 6  # a side, so that no narrow mode falls between the first nodes
_MOST_SUBDIVISIONS = 60
_DIRECTIONS = 4
_WAVES = 8
_CDF_TOLERANCE = 2e-3  # of an integrated distribution function, or of a cosine of one


@collect(DENSITY)
@torch.no_grad()
def _normalization(subject: Subject) -> None:
    """exp(log_prob) integrates to 1: by adaptive quadrature in 1-D and 2-D, by sums over what is discrete."""
    model = subject.model()
    if is_discrete(model):
        points, weights = support(model, subject)
        total, allowed = float(model.log_prob(points).exp() @ weights), _allowed_of(model)
        require(abs(total - 1) < allowed, f"the masses of all {len(points)} states sum to {total:.6g}, not 1")
        return
    if subject.dim > 2:
        raise NotApplicable("quadrature is for 1-D and 2-D; see draws-match-density")
    total, error = integrate_exp(model.log_prob, model.sample(torch.Size([2000])), subject)
    require(
        abs(total - 1) <= _TOLERANCE + 3 * error,
        f"exp(log_prob) integrates to {total:.4g} (quadrature error {error:.1g}), not 1: a log-determinant is missing, "
        "has the wrong sign, or a mixture's weights do not sum to one",
    )


@collect(DENSITY)
def _draws_match_density(subject: Subject) -> None:
    """sample draws from exp(log_prob), and that is normalised, in any dimension.

    With a heavy-tailed reference r of known density and any |h| <= 1, E_q[h r/(q + r)] = E_r[h q/(q + r)]: importance
    sampling in both directions with weights that cannot exceed 1. h = 1 tests the normalisation, cosines the shape.
    The bound is Bernstein's, so its false-alarm rate holds at every sample size.
    """
    model = subject.model()
    _compare_with_reference(model, model.sample(torch.Size([subject.rows])), subject, "sample")


@collect(DENSITY)
def _one_pass_draws_match_density(subject: Subject) -> None:
    """rsample_and_log_prob draws from exp(log_prob), as sample does."""
    model = subject.model()
    if not isinstance(model, AdaptiveNoise):
        raise NotApplicable("it has no rsample_and_log_prob")
    with torch.no_grad():
        x, _ = model.rsample_and_log_prob(torch.Size([subject.rows]))
    _compare_with_reference(model, x, subject, "rsample_and_log_prob")


@collect(DENSITY)
@torch.no_grad()
def _probability_integral_transform(subject: Subject) -> None:
    """Draws through their distribution function are uniform: in 1-D, or each conditional where a noise shows them.

    In 1-D the distribution function is the integral of exp(log_prob); in more it is the noise's own `conditional_cdf`,
    whose values are independent too (Rosenblatt 1952). Two looks at them: the largest distance of the distribution
    functions (Dvoretzky-Kiefer-Wolfowitz), and the means of cosines, of each and of products of neighbours, which are
    0 (Neyman's smooth test 1937, with Bernstein's bound): these see a wrong width sooner.
    """
    model = subject.model()
    shape = torch.Size([subject.rows])
    if isinstance(model, AutoregressiveNoise):
        columns = model.conditional_cdf(model.sample(shape)).flatten(1).mT
    elif subject.dim == 1 and not is_discrete(model):
        columns = _cdf(model, model.sample(shape).flatten(), subject)[None]
    else:
        raise NotApplicable("for continuous noises in 1-D, and those that show conditional_cdf")
    n, share = subject.rows, subject.false_alarm / (2 * len(columns))
    expected = torch.arange(n, dtype=columns.dtype) / n
    allowed = dkw_radius(n, share) + _CDF_TOLERANCE
    before: Tensor | None = None
    for i, column in enumerate(columns):
        uniform = column.sort().values
        distance = float(torch.maximum((uniform - expected).abs(), (uniform - expected - 1 / n).abs()).max())
        require(
            distance <= allowed,
            f"the distribution function of the draws in dimension {i} is {distance:.3g} off the density's (chance "
            f"explains {allowed:.2g})",
        )
        waves = torch.cos(math.pi * column[:, None] * torch.arange(1, _WAVES + 1))
        pairs = waves[:, :0] if before is None else (waves[:, :4, None] * before[:, None, :4]).flatten(1)
        mean, radius = bernstein_radius(torch.cat([waves, pairs], 1), width=2.0, false_alarm=share)
        excess = mean.abs() - radius - _CDF_TOLERANCE
        worst = int(excess.argmax())
        require(
            float(excess[worst]) <= 0,
            f"the draws in dimension {i} are not those of the density"
            f"{' given the dimension before' if worst >= _WAVES else ', too wide, too narrow or shifted'}: a mean that "
            f"should be 0 is {float(mean[worst]):.3g} (chance explains {float(radius[worst]):.2g})",
        )
        before = waves


def _cdf(model: NoiseModel, draws: Tensor, subject: Subject) -> Tensor:
    """The integral of exp(log_prob) up to each draw, in 1-D, by the trapezoidal rule."""
    middle, spread = draws.median(), (draws.quantile(0.75) - draws.quantile(0.25)).clamp_min(1e-12)
    u = torch.linspace(-14, 14, _GRID, dtype=draws.dtype)
    x = middle + spread * u.sinh() / 8
    mass = model.log_prob(x.reshape(-1, *subject.event_shape)).exp() * u.cosh()
    steps = (mass[1:] + mass[:-1]) / 2
    cdf = torch.cat([steps.new_zeros(1), steps.cumsum(0)]) / steps.sum()
    place = torch.searchsorted(x, draws).clamp(1, _GRID - 1)
    share = ((draws - x[place - 1]) / (x[place] - x[place - 1])).clamp(0, 1)
    return cdf[place - 1] + share * (cdf[place] - cdf[place - 1])


@collect(DENSITY)
@torch.no_grad()
def _score_identity(subject: Subject) -> None:
    """E_q[d log q / d theta] = 0: the mean score of the draws vanishes in random directions of the parameters."""
    model = subject.model()
    parameters = trainable_parameters(model)
    if not parameters:
        raise NotApplicable("it has no trainable parameters")
    x = model.sample(torch.Size([subject.rows]))
    threshold = normal_threshold(subject.false_alarm, _DIRECTIONS)
    for _ in range(_DIRECTIONS):
        score = _score(model, x, parameters)
        error = float(score.std()) / math.sqrt(len(score))
        z = abs(float(score.mean())) / max(error, 1e-9)
        require(
            z <= threshold,
            f"the mean score of the draws is {float(score.mean()):.3g} +- {error:.2g}, {z:.1f} standard errors from 0: "
            "sample and log_prob are not the same density (a term of log_prob is missing, or the draws are rescaled)",
        )


def integrate_exp(log_density: Callable[[Tensor], Tensor], draws: Tensor, subject: Subject) -> tuple[float, float]:
    """The integral of exp(log_density) over the line or the plane, and the quadrature's estimate of its error.

    Space is folded into the unit cube by the distribution function of Student's t with two degrees of freedom, centred
    and scaled by `draws`: a heavy tail becomes a bounded function on the cube.

    Args:
        log_density: takes `(n, *event_shape)`.
        draws: points of about the density's place and size.
        subject: tells the event shape.
    """
    draws = draws.reshape(-1, subject.dim)
    centre = draws.median(0).values
    scale = (draws.quantile(0.75, 0) - draws.quantile(0.25, 0)).clamp_min(1e-9) / 2

    def integrand(u: np.ndarray) -> np.ndarray:
        share = torch.from_numpy(u).to(draws)
        spread = 2 * share * (1 - share)
        x = centre + scale * (2 * share - 1) / spread.sqrt()
        log_jacobian = (scale.log() - 1.5 * spread.log()).sum(-1)  # the quantile's slope is spread^-1.5
        return (log_density(x.reshape(-1, *subject.event_shape)) + log_jacobian).exp().nan_to_num(nan=0.0).numpy()

    total, error = 0.0, 0.0
    nodes = np.linspace(1e-7, 1 - 1e-7, _CELLS + 1)
    for cell in product(*[list(pairwise(nodes))] * subject.dim):
        low, high = np.array(cell).T
        result = scipy.integrate.cubature(
            integrand, low, high, rule="gk21", rtol=1e-3, atol=1e-5, max_subdivisions=_MOST_SUBDIVISIONS
        )
        total, error = total + float(result.estimate), error + float(result.error)
    return total, error


@torch.no_grad()
def _compare_with_reference(model: NoiseModel, x: Tensor, subject: Subject, how: str) -> None:
    if is_discrete(model):
        _compare_with_masses(model, x, subject)
        return
    flat = x.reshape(len(x), -1).double()
    n = len(flat)
    reference = StudentT((subject.dim,), df=4.0).double()
    reference.fit(flat[: n // 2])
    y = reference.sample(torch.Size([n]))
    flat = flat[n // 2 :]  # the reference must not know the draws that it is compared with
    both = torch.cat([flat, y])
    log_q = model.log_prob(both.to(x.dtype).reshape(-1, *subject.event_shape)).double()
    log_ratio = (log_q - reference.log_prob(both)).nan_to_num(neginf=-1e9, posinf=1e9)
    m = len(flat)
    of_draws, of_reference = torch.sigmoid(-log_ratio[:m]), torch.sigmoid(log_ratio[m:])
    overlap = float(of_draws.mean())
    if overlap < _LEAST_OVERLAP and float(of_reference.mean()) < _LEAST_OVERLAP:
        raise NotApplicable(f"its overlap with a Student t reference is only {overlap:.2g}: nothing can be seen")
    h = random_cosines(both, reference.loc, reference.scale_tril.diagonal(), _COSINES)
    half = subject.false_alarm / 2
    left, left_radius = bernstein_radius(h[:m] * of_draws[:, None], width=2.0, false_alarm=half)
    right, right_radius = bernstein_radius(h[m:] * of_reference[:, None], width=2.0, false_alarm=half)
    difference, allowed = (left - right).abs(), left_radius + right_radius
    worst = int((difference / allowed).argmax())
    what = "the total mass" if worst == 0 else "a random feature"
    require(
        bool((difference <= allowed).all()),
        f"draws of {how} are not from exp(log_prob): {what} differs by {float(difference[worst]):.3g} where chance "
        f"explains {float(allowed[worst]):.2g}; a log-determinant or a scale is missing on one side",
    )


def _compare_with_masses(model: NoiseModel, x: Tensor, subject: Subject) -> None:
    states, weights = support(model, subject)
    masses = model.log_prob(states).exp() * weights
    both = torch.cat([x, states]).reshape(len(x) + len(states), -1).double()
    h = random_cosines(both, both[: len(x)].mean(0), both[: len(x)].std(0).clamp_min(1e-9), _COSINES)
    mean, radius = bernstein_radius(h[: len(x)], width=2.0, false_alarm=subject.false_alarm)
    difference = (mean - masses.double() @ h[len(x) :]).abs() - _allowed_of(model)
    worst = int((difference / radius).argmax())
    require(
        bool((difference <= radius).all()),
        f"the draws do not have the masses of log_prob: a feature differs by {float(difference[worst]):.3g} where "
        f"chance explains {float(radius[worst]):.2g}",
    )


def _allowed_of(model: NoiseModel) -> float:
    """Error of a total mass: of sums none, of integrals that of the quadrature."""
    return _TOLERANCE if isinstance(model, MixedNoise) else 1e-6


def _score(model: NoiseModel, x: Tensor, parameters: list[nn.Parameter], step: float = 1e-5) -> Tensor:
    """d log q(x) / d theta along a random direction, by a central difference in float64."""
    directions = random_directions(parameters)
    kept = [p.clone() for p in parameters]
    scores = []
    for sign in (1, -1):
        for p, old, v in zip(parameters, kept, directions):
            p.copy_(old + sign * step * v)
        scores.append(model.log_prob(x))
    for p, old in zip(parameters, kept):
        p.copy_(old)
    return (scores[0] - scores[1]) / (2 * step)
