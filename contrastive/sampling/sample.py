"""Draws from the energy-based model, by name of the sampler."""

import torch
from jaxtyping import Float
from torch import Tensor

from contrastive.core.estimator import Estimator
from contrastive.errors import ContrastiveError
from contrastive.numerics.chunks import rows_at_once
from contrastive.protocols import NoiseModel, is_discrete, sample_and_log_prob
from contrastive.sampling.adaptation import local_kernels
from contrastive.sampling.chains import Chains, run_chains
from contrastive.sampling.diagnostics import effective_size, largest_r_hat, least_effective_size, monitored
from contrastive.sampling.kernels import LogDensity
from contrastive.sampling.overlap import overlap
from contrastive.sampling.resampling import pick
from contrastive.sampling.result import EnergySamples
from contrastive.sampling.samplers import choose_sampler, make_kernel
from contrastive.sampling.targets import energy_target

_PROPOSALS = 250  # noise draws a chain, from which the starts are picked
_OVERSAMPLING = 50  # the same for a draw of `resampling`
_LEAST_DRAWS = 200  # of a chain, so that its autocorrelation can be judged
_OVERLAP_DRAWS = 20_000  # of the noise
_ROWS = 20_000  # scored at once


def sample_energy(
    estimator: Estimator,
    n: int,
    *,
    sampler: str = "auto",
    chains: int = 20,
    warmup: int = 100,
    thin: int = 1,
    label: int | None = None,
    progress: bool = False,
) -> EnergySamples:
    """Draw from p by Markov chains that start at importance-resampled draws of the noise.

    | sampler | transition |
    |---|---|
    | `mixed` | a draw of the noise is proposed, then local moves in data space, and latent ones where the noise is a \
    flow; what "auto" takes |
    | `imh` | a draw of the noise is proposed; what "auto" takes where p is discrete |
    | `latent-hmc` | Hamiltonian Monte Carlo in the latent space of a flow noise |
    | `hmc`, `mala` | local moves in data space, scaled by the spread of the noise |
    | `resampling` | no chain: importance resampling, a preview |

    Every kept transition leaves p invariant. Each chain keeps at least 200 draws, so that it can be judged; `x` is
    thinned to `n` of all draws where that is more.

    Args:
        estimator: its energy is p, its noise proposes.
        n: draws in `x`.
        sampler: name.
        chains: how many, all moved at once.
        warmup: transitions that are discarded; step sizes of local moves are adapted in them, then fixed.
        thin: transitions from one kept draw to the next.
        label: sample one class of a K-class energy; their mixture by the class prior by default.
        progress: show how far it is, on standard error.

    Raises:
        ContrastiveError: if a number is out of range, the sampler is unknown or cannot work with this noise, or the
            energy is finite at no draw of the noise.

    Example:
        >>> from contrastive import ContrastiveEstimator, make_energy, make_noise
        >>> noise = make_noise("gaussian", event_shape=(2,), loc=0.0)
        >>> estimator = ContrastiveEstimator(make_energy("gaussian", event_shape=(2,)), noise)
        >>> samples = sample_energy(estimator, 100, warmup=20)
        >>> samples.sampler, samples.x.shape, samples.z.shape
        ('mixed', torch.Size([100, 2]), torch.Size([20, 200, 2]))
    """
    for name, value, least in [("n", n, 1), ("chains", chains, 1), ("warmup", warmup, 0), ("thin", thin, 1)]:
        if value < least:
            raise ContrastiveError(f"sampling needs {name} of at least {least}, got {value}")
    noise = estimator.noise
    discrete = is_discrete(noise) or is_discrete(estimator.energy)
    name = choose_sampler(sampler, discrete=discrete)
    target = energy_target(estimator, label)
    if name == "resampling":
        return _resampled(estimator, target, n)
    kernel = make_kernel(name, noise)
    start, _ = pick(target, noise, chains, proposals=_PROPOSALS * chains)
    draws = max(_LEAST_DRAWS, -(-n // chains))
    run = run_chains(kernel, start, target, draws=draws, warmup=warmup, thin=thin, progress=progress)
    return _judged(estimator, target, n, name, run)


@torch.no_grad()
def _judged(estimator: Estimator, target: LogDensity, n: int, name: str, run: Chains) -> EnergySamples:
    log_weight = run.log_density - _noise_log_prob(estimator.noise, run.z)
    quantities = monitored(run.z, run.log_density, log_weight)
    everything = run.z.transpose(0, 1).flatten(0, 1)  # neighbours are of different chains
    kept = torch.linspace(0, len(everything) - 1, n, dtype=torch.float64).round().long()
    return EnergySamples(
        z=run.z,
        x=estimator.scaling.inverse(everything[kept.to(run.z.device)]),
        log_density=run.log_density,
        log_weight=log_weight,
        sampler=name,
        acceptance=run.acceptance,
        step_sizes={part.kind: float(part.step_size) for part in local_kernels(run.kernel)},
        longest_rejection=run.longest_rejection,
        r_hat=largest_r_hat(quantities),
        effective_sample_size=least_effective_size(quantities),
        autocorrelation_time=max(1.0, log_weight.numel() / effective_size(log_weight)),
        overlap=overlap(log_weight, _noise_log_weight(estimator.noise, target)),
    )


@torch.no_grad()
def _resampled(estimator: Estimator, target: LogDensity, n: int) -> EnergySamples:
    """One "chain" of draws that have no order: no moves, and no R-hat."""
    z, size = pick(target, estimator.noise, n, proposals=_OVERSAMPLING * n)
    log_density = target(z)[None]
    log_weight = log_density - estimator.noise.log_prob(z)
    effective = 1 / (1 / size + 1 / n)  # picking n adds its own variance
    return EnergySamples(
        z=z[None],
        x=estimator.scaling.inverse(z),
        log_density=log_density,
        log_weight=log_weight,
        sampler="resampling",
        acceptance={},
        step_sizes={},
        longest_rejection=0,
        r_hat=float("nan"),
        effective_sample_size=effective,
        autocorrelation_time=max(1.0, n / effective),
        overlap=overlap(log_weight, _noise_log_weight(estimator.noise, target), size=effective),
    )


def _noise_log_prob(noise: NoiseModel, z: Float[Tensor, "chains draws *event"]) -> Float[Tensor, "chains draws"]:
    rows = rows_at_once(tuple(z.shape[2:]), _ROWS)
    return torch.cat([noise.log_prob(part) for part in z.flatten(0, 1).split(rows)]).reshape(z.shape[:2])


def _noise_log_weight(noise: NoiseModel, target: LogDensity) -> Float[Tensor, " m"]:
    parts = []
    rows = rows_at_once(tuple(noise.event_shape), _OVERLAP_DRAWS)
    for start in range(0, _OVERLAP_DRAWS, rows):
        z, log_q = sample_and_log_prob(noise, min(rows, _OVERLAP_DRAWS - start))
        parts.append(target(z) - log_q)
    return torch.cat(parts).nan_to_num(nan=-torch.inf, posinf=-torch.inf)
