"""Draws of the missing entries of rows given the others, by chains that are corrected for the energy."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from contrastive.core.estimator import Estimator
from contrastive.data.schema.scaling import TableScaling
from contrastive.errors import ContrastiveError
from contrastive.numerics.chunks import rows_at_once
from contrastive.protocols import MixedNoise

_PROPOSED_AT_ONCE = 20_000  # rows
_FEW = 0.05  # of the proposals, effectively


@dataclass(frozen=True)
class Imputed:
    """Rows without gaps.

    Attributes:
        x: in original units, shape `(draws, n, d)`: each draw is a whole table.
        effective_share: of each row with gaps, the mean effective share of its proposals, 1 where the noise's proposal
            is the conditional itself; NaN for rows without gaps.
    """

    x: Float[Tensor, "draws n d"]
    effective_share: Float[Tensor, " n"]

    @property
    def warning(self) -> str:
        """What is doubtful, in one sentence; empty where nothing is."""
        doubtful = int((self.effective_share < _FEW).sum())
        if not doubtful:
            return ""
        return (
            f"for {doubtful:,} of {int((~self.effective_share.isnan()).sum()):,} rows with gaps fewer than "
            f"{100 * _FEW:.0f} % of the proposals count, so their draws may not have forgotten where they began: take "
            "more proposals or steps, or put columns with gaps after the others"
        )


@torch.no_grad()
def impute(
    estimator: Estimator,
    x: Float[Tensor, "n d"],
    *,
    draws: int = 1,
    proposals: int = 64,
    warmup: int = 10,
    thin: int = 3,
) -> Imputed:
    """Draw the missing entries of rows from p(missing | observed), given that they are there.

    A step proposes values for all missing entries of a row at once, each from the noise given the entries before it,
    and picks one of the proposals or the present values with probability proportional to w = p(x) / q(drawn): iterated
    sampling-importance-resampling, a Metropolis chain with several tries that leaves p(missing | observed) invariant
    for any number of proposals. The proposal knows the observed entries that stand before a gap, the weights know all.

    Args:
        estimator: of a table that was fitted as it is, with a noise that completes rows (`mixed-made`).
        x: rows in original units, as `estimator.points` encodes them: gaps of columns that had some in training are
            states, others NaN.
        draws: tables to draw.
        proposals: at each step, for each row.
        warmup: steps before the first draw.
        thin: steps from one draw to the next.

    Raises:
        ContrastiveError: if the estimator cannot do this, or a number is out of range.

    Reference: Andrieu, Lee & Vihola (2018), "Uniform ergodicity of the iterated conditional SMC and geometric
    ergodicity of particle Gibbs samplers", section 1.
    """
    for name, value, least in [
        ("draws", draws, 1),
        ("proposals", proposals, 2),
        ("warmup", warmup, 0),
        ("thin", thin, 1),
    ]:
        if value < least:
            raise ContrastiveError(f"imputation needs {name} of at least {least}, got {value}")
    scaling, noise = estimator.scaling, estimator.noise
    if not isinstance(scaling, TableScaling) or not isinstance(noise, MixedNoise):
        raise ContrastiveError(
            "imputation needs a table that was fitted as it is, with a noise that completes rows: fit with "
            "--data.mixed true (--noise mixed-made)"
        )
    opened, known, forbidden = scaling.opened(x)
    z = scaling(opened, estimator.log_normalizer.dtype).to(estimator.log_normalizer.device)
    gaps = (~known).any(1)
    share = torch.full((len(x),), torch.nan)
    filled = z.expand(draws, *z.shape).clone()
    rows = gaps.nonzero().squeeze(1)
    for part in rows.split(max(1, rows_at_once(tuple(z.shape[1:]), _PROPOSED_AT_ONCE) // proposals)):
        chains = _Chains(estimator, noise, z[part], known[part], forbidden[part], proposals)
        for _ in range(warmup):
            chains.step()
        for draw in range(draws):
            for _ in range(thin if draw else 1):
                chains.step()
            filled[draw, part] = chains.z
        share[part] = chains.effective_share.cpu().float()
    return Imputed(torch.where(known, opened, scaling.inverse(filled).cpu()), share)


class _Chains:
    """A chain for each row with gaps.

    Args:
        estimator: the target.
        noise: proposes.
        z: rows in model coordinates, anything at the gaps.
        known: entries that stay.
        forbidden: states, by code, that an entry must not take, -1 for none.
        proposals: at each step.
    """

    def __init__(
        self,
        estimator: Estimator,
        noise: MixedNoise,
        z: Float[Tensor, "n d"],
        known: Bool[Tensor, "n d"],
        forbidden: Float[Tensor, "n d"],
        proposals: int,
    ) -> None:
        self.estimator, self.noise, self.proposals = estimator, noise, proposals
        self.known, self.forbidden, self.z = known, forbidden, z
        self._log_weight = z.new_full((len(z),), -torch.inf)  # the rows themselves are no state of the chain
        self._shares: list[Tensor] = []

    @property
    def effective_share(self) -> Float[Tensor, " n"]:
        """Mean over the steps of (sum w)^2 / (m sum w^2) of the m fresh proposals."""
        return torch.stack(self._shares).mean(0)

    def step(self) -> None:
        """One transition of every chain."""
        n, m = len(self.z), self.proposals
        repeated = [each.repeat_interleave(m, 0) for each in (self.z, self.known, self.forbidden)]
        z, log_q = self.noise.complete(repeated[0], repeated[1])
        log_weight = self.estimator.model_log_prob(z) - log_q
        log_weight = torch.where((z == repeated[2]).any(1), -torch.inf, log_weight)
        log_weight = log_weight.nan_to_num(nan=-torch.inf, posinf=-torch.inf).reshape(n, m)
        self._shares.append(_effective_share(log_weight))
        weights = torch.cat([self._log_weight[:, None], log_weight], 1)
        lost = weights.isneginf().all(1)
        weights[lost] = 0.0  # no proposal can be: the next step tries again
        picked = torch.distributions.Categorical(logits=weights).sample()
        candidates = torch.cat([self.z[:, None], z.reshape(n, m, -1)], 1)
        self.z = torch.where(lost[:, None], self.z, candidates[torch.arange(n), picked])
        self._log_weight = torch.where(lost, -torch.inf, weights[torch.arange(n), picked])


def _effective_share(log_weight: Float[Tensor, "n m"]) -> Float[Tensor, " n"]:
    """Zero where all weights are."""
    size = (2 * log_weight.logsumexp(1) - (2 * log_weight).logsumexp(1)).exp() / log_weight.shape[1]
    return size.nan_to_num(nan=0.0)
