"""Samples of the energy-based model with convergence diagnostics."""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from contrastive.sampling.overlap import Overlap

_LARGEST_R_HAT = 1.01
_LEAST_EFFECTIVE_SIZE = 400  # what R-hat and the error of a mean need to be trusted (Vehtari et al. 2021)
_LEAST_EFFECTIVE_SHARE = 0.1  # of the draws, where they are few


@dataclass(frozen=True)
class EnergySamples:
    """Draws and diagnostics.

    Attributes:
        z: every kept draw in model coordinates, shape `(chains, draws, *event)`.
        x: the draws asked for in original units, shape `(n, *event)`: from all chains, evenly spaced in time.
        log_density: log p(z) with the learned c, or f_k(z) for one class, shape `(chains, draws)`, nats. Only its
            differences matter to the sampler.
        log_weight: `log_density` minus log q(z), the noise's.
        sampler: name.
        acceptance: mean acceptance probability of each kind of move ("independence", "local", "latent"), after warm-up.
        step_sizes: of each kind of local move, as frozen after warm-up.
        longest_rejection: most transitions in a row that left a chain where it was.
        r_hat: largest rank-normalised split R-hat over log p, log p - log q and up to 32 coordinates.
        effective_sample_size: least bulk effective sample size over the same, all chains together.
        autocorrelation_time: integrated, of `log_weight` along a chain, in draws: how many count as one, at least 1.
        overlap: how far the noise is from the EBM.
    """

    z: Float[Tensor, "chains draws *event"]
    x: Float[Tensor, "n *event"]
    log_density: Float[Tensor, "chains draws"]
    log_weight: Float[Tensor, "chains draws"]
    sampler: str
    acceptance: dict[str, float]
    step_sizes: dict[str, float]
    longest_rejection: int
    r_hat: float
    effective_sample_size: float
    autocorrelation_time: float
    overlap: Overlap

    @property
    def warnings(self) -> list[str]:
        """What is doubtful about the draws, a sentence each; empty if nothing is."""
        found, total = [], self.log_density.numel()
        if self.r_hat > _LARGEST_R_HAT:
            found.append(f"the chains disagree (R-hat {self.r_hat:.3f}, above {_LARGEST_R_HAT})")
        if self.effective_sample_size < min(_LEAST_EFFECTIVE_SIZE, _LEAST_EFFECTIVE_SHARE * total):
            found.append(f"{total} draws count for only {self.effective_sample_size:.0f} independent ones")
        return found

    @property
    def advice(self) -> str:
        """The warnings in one sentence, with what to do about them."""
        remedy = "take more draws (n, thin), another sampler, or a noise nearer to the energy"
        return f"{' and '.join(self.warnings)}; {remedy}"

    def diagnostics(self) -> dict[str, Any]:
        """Every figure, ready for JSON."""
        chains, draws = self.log_density.shape
        low, high = self.overlap.total_variation
        return {
            "n": len(self.x),
            "sampler": self.sampler,
            "chains": chains,
            "draws_per_chain": draws,
            "acceptance": self.acceptance,
            "step_sizes": self.step_sizes,
            "longest_rejection": self.longest_rejection,
            "r_hat": self.r_hat,
            "effective_sample_size": self.effective_sample_size,
            "autocorrelation_time": self.autocorrelation_time,
            "overlap": self.overlap.acceptance,
            "overlap_standard_error": self.overlap.standard_error,
            "total_variation": [low, high],
            "warnings": self.warnings,
        }

    def __str__(self) -> str:
        chains, draws = self.log_density.shape
        low, high = self.overlap.total_variation
        size = f"effective sample size {self.effective_sample_size:.0f} of {chains * draws}"
        distance = (
            f"total variation between noise and energy: {max(low, 0.0):.3f} to {high:.3f} "
            f"(+- {2 * self.overlap.standard_error:.3f})"
        )
        if not self.acceptance:
            return f"{self.sampler}: {size}\n{distance}"
        moves = ", ".join(f"{kind} {rate:.2f}" for kind, rate in self.acceptance.items())
        return (
            f"{self.sampler}: {chains} chains of {draws} draws, R-hat {self.r_hat:.3f}, {size}\n"
            f"accepted: {moves}; longest run of rejections {self.longest_rejection}\n"
            f"{distance}"
        )
