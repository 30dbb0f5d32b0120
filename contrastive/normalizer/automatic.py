"""log Z by the method that suits, and a verdict in words."""

import dataclasses
import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from contrastive.core.estimator import Estimator
from contrastive.errors import ContrastiveError, did_you_mean, warn_renamed
from contrastive.normalizer.annealing import annealed_partition
from contrastive.normalizer.bridge import bridge_estimate
from contrastive.normalizer.certified import bounded_tilt, certified_partition, is_bounded_on_noise
from contrastive.normalizer.importance import WeightSummary, importance_estimate
from contrastive.normalizer.result import LogPartition, check_level
from contrastive.normalizer.tuning import tune
from contrastive.normalizer.weights import log_weight, noise_log_weights, one_class
from contrastive.sampling import EnergySamples, sample_energy

METHODS: tuple[str, ...] = ("auto", "importance", "bridge", "annealing", "certified")

_LARGEST_K = 0.7
_LEAST_OVERLAP = 0.05
_SETTLED = 1.05  # R-hat
_FEWEST_DRAWS = 1_000
_CHAINS = 100
_FEWEST_OF_A_CHAIN = 4  # samples that annealed paths go back from
_FEWEST_BEYOND = 10
_ALMOST_ALL = 0.99  # of the EBM's samples lie below where data count as beyond them


def log_partitions(
    estimator: Estimator,
    method: str = "auto",
    *,
    draws: int = 100_000,
    level: float = 0.95,
    max_temperatures: int = 512,
    data: Float[Tensor, "n *event"] | None = None,
    progress: bool = False,
    longest: int | None = None,
) -> list[LogPartition]:
    """log Z of the energy, or of each class of it, with an interval and a verdict.

    `auto` takes importance sampling and the bridge, which share the noise draws. If the weights' tail is too heavy
    (Pareto's k above 0.7), the overlap is below 0.05, the chains disagree or the two differ by more than 3 standard
    errors, it anneals, the path's length doubled until forward and reverse agree within 0.1 nat or it has
    `max_temperatures`. Where annealing confirms a bridge of good overlap, the bridge is returned: it has more
    samples. An energy with a bound gets the certified interval beside the estimate, and a doubt where the two
    contradict each other.

    Args:
        estimator: f and q; its learned c is not used.
        method: "auto", "importance", "bridge", "annealing" or "certified".
        draws: of the noise. The EBM is sampled a fifth as often, annealing follows a hundredth as many paths each way.
        level: of the intervals.
        max_temperatures: of an annealed path.
        data: held-out points in original units, for one diagnosis alone: data where f - log q is above that of every
            draw show a region that no draw reaches. They enter no estimate.
        progress: show bars on standard error.
        longest: deprecated: `max_temperatures`.

    Returns:
        One estimate, or one for each class of a K-class energy.

    Raises:
        ContrastiveError: for an unknown method, numbers out of range, or densities that are not finite.
    """
    if longest is not None:
        warn_renamed("the argument longest", "max_temperatures")
        max_temperatures = longest
    if method not in METHODS:
        raise ContrastiveError(f"unknown method {method!r} for log Z; {did_you_mean(method, METHODS)}")
    if draws < _FEWEST_DRAWS:
        raise ContrastiveError(
            f"draws must be at least {_FEWEST_DRAWS:,} for an error that means something, got {draws}"
        )
    if max_temperatures < 1:
        raise ContrastiveError(f"annealing needs at least 1 temperature, got max_temperatures={max_temperatures}")
    check_level(level)
    classes = estimator.num_classes
    parts = [estimator] if classes is None else [one_class(estimator, k) for k in range(classes)]
    z = None if data is None else estimator.model_coordinates(data)
    search = _Search(draws=draws, level=level, max_temperatures=max_temperatures, data=z, progress=progress)
    return [search.run(part, method) for part in parts]


@dataclasses.dataclass(frozen=True)
class _Search:
    """One run of the methods with the same settings."""

    draws: int
    level: float
    max_temperatures: int
    data: Tensor | None
    progress: bool

    def run(self, estimator: Estimator, method: str) -> LogPartition:
        """The estimate for an energy without classes."""
        if method == "certified":
            return certified_partition(estimator, self.draws, level=self.level)
        noise = noise_log_weights(estimator, self.draws, progress=self.progress)
        importance = importance_estimate(
            WeightSummary.of(noise), level=self.level, bounded=is_bounded_on_noise(estimator)
        )
        if method == "importance":
            return self._checked(importance, estimator, noise.max())
        samples = sample_energy(estimator, max(_FEWEST_DRAWS, self.draws // 5), chains=_CHAINS, progress=self.progress)
        model = log_weight(estimator, samples.z.flatten(0, 1)).reshape(samples.z.shape[:2])
        bridge = estimate = bridge_estimate(model, noise, level=self.level)
        if method == "annealing" or (method == "auto" and _needs_annealing(importance, bridge)):
            estimate = self._annealed(estimator, samples)
            if method == "auto":
                estimate = _confirmed(bridge, estimate)
        estimate = _with(estimate, diagnostics={**_facts(importance, samples), **estimate.diagnostics})
        if method == "auto":
            estimate = self._held_to_its_bound(estimate, estimator)
        return self._checked(estimate, estimator, torch.maximum(noise.max(), model.flatten().quantile(_ALMOST_ALL)))

    def _annealed(self, estimator: Estimator, samples: EnergySamples) -> LogPartition:
        """Annealing back from the chains' samples, or, where the chains disagree, from what tempering arrived at."""
        paths = max(_CHAINS * _FEWEST_OF_A_CHAIN, self.draws // 100)
        tuning = tune(estimator, paths)
        settled = samples.r_hat <= _SETTLED
        chains, draws = samples.z.shape[:2]
        start = samples.z[:, :: draws * chains // paths] if settled else tuning.particles[:, None]
        estimate = annealed_partition(
            estimator, tuning, start, max_temperatures=self.max_temperatures, level=self.level, progress=self.progress
        )
        if settled:
            return estimate
        return _doubted(
            estimate, f"the chains of the sampler disagree (R-hat {samples.r_hat:.2f}): modes may be missing"
        )

    def _held_to_its_bound(self, estimate: LogPartition, estimator: Estimator) -> LogPartition:
        """The certified interval beside `estimate`, where the energy has a bound."""
        if bounded_tilt(estimator.energy) is None:
            return estimate
        certified = certified_partition(estimator, self.draws, level=self.level)
        facts = {**estimate.diagnostics, "certified_low": certified.low, "certified_high": certified.high}
        estimate = _with(estimate, diagnostics=facts)
        if estimate.high < certified.low or certified.high < estimate.low:
            return _doubted(estimate, f"the certified interval is [{certified.low:.4f}, {certified.high:.4f}]")
        return estimate

    def _checked(self, estimate: LogPartition, estimator: Estimator, highest: Tensor) -> LogPartition:
        """`estimate`, doubted if data lie beyond the draws: where f - log q is above `highest`.

        Were the data draws of the EBM and the estimate right, that region would hold about as much of them as of the
        EBM's samples, or as the largest weight's share of the sum: next to none. A share s of them there means that log
        Z is too low by about -log(1 - s).
        """
        if self.data is None:
            return estimate
        beyond = log_weight(estimator, self.data) > highest
        share = float(beyond.double().mean())
        estimate = _with(estimate, diagnostics={**estimate.diagnostics, "data_beyond_the_draws": share})
        if int(beyond.sum()) < _FEWEST_BEYOND:
            return estimate
        if share == 1:
            return _doubted(estimate, "all of the data lie beyond the draws: log Z is too low, by how much is unknown")
        missing = -math.log1p(-share)
        if missing < (estimate.high - estimate.low) / 2:
            return estimate
        return _doubted(
            estimate,
            f"{100 * share:.3g} % of the data lie beyond the draws: a mode may be missing, and log Z too low by "
            f"{missing:.2g} nats",
        )


def _needs_annealing(importance: LogPartition, bridge: LogPartition) -> bool:
    error = math.hypot(importance.standard_error, bridge.standard_error)
    return (
        importance.diagnostics["pareto_k"] > _LARGEST_K
        or not bridge.diagnostics["overlap"] >= _LEAST_OVERLAP
        or not abs(importance.log_z - bridge.log_z) <= 3 * error
        or not bridge.is_reliable
    )


def _confirmed(bridge: LogPartition, annealed: LogPartition) -> LogPartition:
    """The bridge, with its many more samples, where nothing speaks against it and annealing agrees; else annealing."""
    if not bridge.is_reliable:
        return annealed
    if abs(bridge.log_z - annealed.log_z) > 3 * math.hypot(bridge.standard_error, annealed.standard_error):
        return _doubted(annealed, f"the bridge, whose samples overlap well, gives {bridge.log_z:.4f}")
    if not annealed.is_reliable or annealed.standard_error < bridge.standard_error:
        return annealed
    facts = {"annealing": annealed.log_z, "annealing_standard_error": annealed.standard_error}
    return _with(bridge, diagnostics={**bridge.diagnostics, **facts})


def _facts(importance: LogPartition, samples: EnergySamples) -> dict[str, Any]:
    """What the first two steps found, kept whatever method ends the search."""
    return {
        "importance": importance.log_z,
        "importance_standard_error": importance.standard_error,
        **{key: importance.diagnostics[key] for key in ("relative_ess", "pareto_k", "largest_share")},
        "sampler": samples.sampler,
        "sampler_r_hat": samples.r_hat,
        "sampler_acceptance": samples.acceptance,
    }


def _doubted(estimate: LogPartition, reason: str) -> LogPartition:
    return dataclasses.replace(estimate, reasons=(*estimate.reasons, reason))


def _with(estimate: LogPartition, *, diagnostics: dict[str, Any]) -> LogPartition:
    return dataclasses.replace(estimate, diagnostics=diagnostics)
