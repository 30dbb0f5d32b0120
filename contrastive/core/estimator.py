"""The one estimator behind NCE, fixed-flow NCE and FCE.

Everything follows from one number per point, the log-ratio

    r(x) = f(x) - c - log q(x) - log nu

with f the energy (high = likely), c the learned log normaliser, q the noise, nu the noise ratio. The energy
minimises the contrastive loss of r over (f, c). An adaptive noise maximises the same loss over q's parameters:

    V = E_data[log sigmoid(r)] + nu E_q[log sigmoid(-r)],    min over q, max over (f, c)

(Gao et al. 2020, "Flow Contrastive Estimation of Energy-Based Models", eq. 12). The three methods differ in the noise:
a plain density is NCE, a flow fitted first and frozen is fixed-flow NCE, a flow trained adversarially is FCE.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution

from contrastive.config import FitConfig
from contrastive.core.model import EnergyBasedModel, without_graph
from contrastive.core.renamed import RenamedMembers
from contrastive.core.score_function import score_function_mean
from contrastive.data.points import Rows
from contrastive.data.scaling import Coordinates, Scaling
from contrastive.errors import ContrastiveError, warn, warn_renamed
from contrastive.noises.conditional import joint_noise
from contrastive.noises.defensive import DefensiveMixture
from contrastive.noises.distribution import DistributionNoise
from contrastive.numerics.chunks import rows_at_once
from contrastive.numerics.optimal_normalizer import optimal_log_normalizer
from contrastive.numerics.row_weights import resampled
from contrastive.objectives import ObjectiveFunction, make_objective
from contrastive.objectives.contrast import Contrast, Value
from contrastive.objectives.protocol import SamplingObjective, allows_adaptive_noise, check_energy, own_solver
from contrastive.protocols import (
    AdaptiveNoise,
    ConditionalNoise,
    EnergyModel,
    FollowingEnergy,
    NoiseAwareEnergy,
    NoiseModel,
    NoiseOverRows,
    is_ready,
    log_prob_of_point,
    num_given,
    sample_and_log_prob,
    trainable_parameters,
)


class Estimator(RenamedMembers, EnergyBasedModel):
    """An energy-based model learned by discriminating data from samples of a noise distribution.

    `noise_log_prob`, `log_ratio`, `value` and `sample_noise` are in the data's original units, as the public methods of
    `EnergyBasedModel`. `energy_loss` and `noise_loss`, the two calls that a training loop needs, take data in model
    coordinates, `scaling(x)`; without a scaling they are the same.

    Args:
        energy: gives f(x), shape `(batch,)` or `(batch, K)`, high = likely; its `num_classes` (if any) is K.
        noise: a `NoiseModel`; a `torch.distributions.Distribution` is one as it stands. A `ConditionalNoise` q(x | y)
            makes a density p(x | y), over rows (x, y).
        objective: an objective, or the name of one.
        noise_ratio: nu > 0, the weight of the noise in the loss.
        noise_per_data: kappa > 0, noise samples per data point (default: nu).
        adapt_noise: the noise learns too (FCE); it must have trainable parameters.
        scaling: from original units to model coordinates (default: the identity).
        defensive_component: a wide density mixed into the noise of the energy's loss (`DefensiveMixture`): a flow has
            light tails, and where it draws no samples f is free to be too high.
        defensive_share: the weight of that component, in (0, 1).
        class_prior: pi, one positive number a class of a K-class energy, scaled to sum to 1 (default: equal).
        defence: deprecated: `defensive_component`.

    Raises:
        ContrastiveError: if the noise lacks a method, or has no trainable parameters for `adapt_noise`; if the
            objective refuses the energy or an adaptive noise; or if a number is out of range.
    """

    def __init__(
        self,
        energy: EnergyModel,
        noise: NoiseModel | ConditionalNoise | Distribution,
        *,
        objective: str | ObjectiveFunction = "nce",
        noise_ratio: float = 1.0,
        noise_per_data: float | None = None,
        adapt_noise: bool = False,
        scaling: Coordinates | None = None,
        defensive_component: NoiseModel | None = None,
        defensive_share: float = 0.1,
        class_prior: Sequence[float] | None = None,
        defence: NoiseModel | None = None,
    ) -> None:
        if defence is not None:
            warn_renamed("the argument defence", "defensive_component")
            defensive_component = defence
        if isinstance(noise, Distribution):
            noise = DistributionNoise(noise)
        elif isinstance(noise, ConditionalNoise) and noise.context_shape:
            noise = joint_noise(noise)
        if not isinstance(noise, NoiseModel):
            raise ContrastiveError(
                f"{type(noise).__name__} is not a noise: it needs event_shape, sample(sample_shape) and log_prob(value)"
            )
        if adapt_noise and not trainable_parameters(noise):
            raise ContrastiveError(
                f"{type(noise).__name__} cannot adapt: it has no trainable parameters; take a noise that has "
                "(a flow, a Gaussian) or adapt_noise=False"
            )
        noise_per_data = noise_ratio if noise_per_data is None else noise_per_data
        for name, number in {"noise_ratio": noise_ratio, "noise_per_data": noise_per_data}.items():
            if not 0 < number < math.inf:
                raise ContrastiveError(f"{name} must be a positive number, got {number}")
        scaling = scaling or Scaling.identity(tuple(noise.event_shape), num_given(noise))
        super().__init__(energy, scaling, class_prior=class_prior)
        self.noise = noise
        self.objective = make_objective(objective) if isinstance(objective, str) else objective
        check_energy(self.objective, energy)
        if adapt_noise and not allows_adaptive_noise(self.objective):
            raise ContrastiveError(
                "this objective cannot adapt the noise: minus its loss is no divergence for the noise to minimise; "
                "take 'nce', 'is-mle', 'exponential' or 'least-squares', or adapt_noise=False"
            )
        self.noise_ratio, self.noise_per_data = float(noise_ratio), float(noise_per_data)
        self.adapt_noise = adapt_noise
        self.defensive_component, self.defensive_share = defensive_component, defensive_share
        #: Figures of the last fit, as in summary.json; None before.
        self.summary: dict[str, Any] | None = None
        #: Settings of the last fit, by which it can be built again; None before, and where its parts are objects.
        self.config: FitConfig | None = None
        self.update_base_noise()

    # The model, in original units ------------------------------------------------------------------------------

    def log_prob(self, x: Rows, given: Rows | None = None) -> Float[Tensor, " batch"]:
        """As `EnergyBasedModel.log_prob`; warns where neither f, c nor the noise has seen any data."""
        if self.summary is None and not is_ready(self.noise) and not bool(self.log_normalizer.any()):
            warn("this estimator is not fitted: its log-densities mean nothing yet; call fit(x), or train it")
        return super().log_prob(x, given)

    @without_graph
    def noise_log_prob(self, x: Rows) -> Float[Tensor, " batch"]:
        """log q(x) of the noise, nats."""
        return self.noise.log_prob(self.model_coordinates(x)) + self.log_det(x)

    @without_graph
    def log_ratio(self, x: Rows) -> Float[Tensor, " batch"]:
        """r(x) = log p(x) - log q(x) - log nu, nats; the log-determinant of the scaling cancels."""
        return self.model_log_ratio(self.model_coordinates(x))

    @torch.no_grad()
    def value(self, x: Rows) -> Value:
        """V and its two parts at data `x`, with fresh noise samples, `noise_per_data` per point."""
        contrast = self.contrast(self.model_coordinates(x))
        return Value(float(contrast.value), -float(contrast.data_term), -float(contrast.noise_term))

    @torch.no_grad()
    def sample_noise(self, n: int) -> Float[Tensor, "n *event"]:
        """`n` samples of the noise."""
        rows = rows_at_once(tuple(self.noise.event_shape), n)
        counts = [min(rows, n - start) for start in range(0, n, rows)]
        return torch.cat([self.scaling.inverse(self.noise.sample(torch.Size([count]))) for count in counts])

    # Losses, in model coordinates ------------------------------------------------------------------------------

    def model_log_ratio(
        self, z: Float[Tensor, "n *event"], log_q: Float[Tensor, " n"] | None = None
    ) -> Float[Tensor, " n"]:
        """r(z) = log p(z) - log q(z) - log nu in model coordinates; it is the same number as in original units.

        Args:
            z: points in model coordinates.
            log_q: log q(z) where it is known already.
        """
        if log_q is None and not self._energy_follows(self.noise):
            log_q = self.noise.log_prob(z)
        return self._r(z, log_q)

    def contrast(
        self,
        z: Rows,
        log_q: Float[Tensor, " n"] | None = None,
        sample_weight: Float[Tensor, " n"] | None = None,
    ) -> Contrast:
        """The contrast of data and fresh noise samples with the noise frozen: differentiable in (f, c) alone.

        Args:
            z: data in model coordinates.
            log_q: the noise's log-density at `z` where it is known already.
            sample_weight: how often each row counts, up to a common factor: the data's term is then the mean by these
                weights. `fit` draws rows by weight instead, so that a batch does not depend on a few heavy rows.
        """
        contrast = self._against(self.noise, self._as_batch(z), log_q)
        return (
            contrast if sample_weight is None else self._contrast_of(contrast.r_data, contrast.r_noise, sample_weight)
        )

    def energy_loss(self, z: Float[Tensor, "n *event"], log_q: Float[Tensor, " n"] | None = None) -> Contrast:
        """The energy's loss on a batch, a `Contrast`: back-propagate its `.loss`, differentiable in (f, c) alone.

        As `contrast`, but against `defended_noise`; the optimum is the same p. An objective that draws points of its
        own (`telescoping`, `conditional`) draws them here.

        Args:
            z: data in model coordinates.
            log_q: the log-density of `defended_noise` at `z` where it is known already, nats.
        """
        if not isinstance(self.objective, SamplingObjective):
            return self._against(self.defended_noise, z, log_q)
        with torch.no_grad():
            z_noise = self.noise.sample(torch.Size([len(z)])).to(z.dtype)
        return self.objective.contrast(self.energy, z, z_noise)

    def scored_contrast(
        self,
        z: Float[Tensor, "n *event"],
        fixed: Float[Tensor, " n"],
        z_noise: Float[Tensor, "m *event"],
        fixed_noise: Float[Tensor, " m"],
    ) -> Contrast:
        """The contrast of `energy_loss` at points whose fixed parts are known: of a frozen noise they are kept.

        Args:
            z: data in model coordinates.
            fixed: `fixed_log_ratio` there.
            z_noise: draws of `defended_noise`.
            fixed_noise: `fixed_log_ratio` there.
        """
        both = torch.cat([z, z_noise.to(z.dtype)])
        learned = self.energy.tilt(both) if isinstance(self.energy, FollowingEnergy) else self.energy(both)
        fixed = torch.cat([fixed, fixed_noise])
        r = self.mixture(self._checked(learned, both)) + fixed - math.log(self.noise_ratio)
        return self._contrast_of(r[: len(z)], r[len(z) :])

    @torch.no_grad()
    def fixed_log_ratio(self, z: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
        """The part of the log-ratio to `defended_noise` that training the energy does not change, nats.

        It is -log q; of an energy log q0 + h, log q0 - log q, which is 0 where q0 is the noise itself.
        """
        noise = self.defended_noise
        if self._energy_follows(noise):
            return torch.zeros(len(z), dtype=z.dtype, device=z.device)
        return self._fixed(z, noise.log_prob(z))

    @torch.no_grad()
    def scored_draws(
        self, n: int, beside: Float[Tensor, "m *event"] | None = None
    ) -> tuple[Float[Tensor, "n *event"], Float[Tensor, " n"]]:
        """`n` draws of `defended_noise` in model coordinates, and `fixed_log_ratio` there.

        Args:
            n: how many.
            beside: data in model coordinates, whose contexts draws of a conditional noise have, by turns.
        """
        noise = self.defended_noise
        if self._energy_follows(noise):
            z = _sampled(noise, n, beside)
            return z, torch.zeros(n, dtype=z.dtype, device=z.device)
        z, log_q = _sampled_and_scored(noise, n, beside)
        return z, self._fixed(z, log_q)

    def draws_for(self, n: int) -> int:
        """Noise samples beside `n` data points."""
        return max(1, round(self.noise_per_data * n))

    @property
    def defended_noise(self) -> NoiseModel:
        """The noise of the energy's loss: mixed with the defensive component where there is one."""
        if self.defensive_component is None:
            return self.noise
        return DefensiveMixture(self.noise, self.defensive_component, self.defensive_share)

    def noise_loss(self, z: Float[Tensor, "n *event"], *, path_only: bool = False) -> Contrast:
        """The noise's loss on a batch, a `Contrast`: back-propagate its `.value`, V, differentiable in q's parameters.

        For an `AdaptiveNoise` the gradient is pathwise, through x = g(z) in f and in log q, and through log q at the
        data. For every other noise it is the score-function estimate, unbiased too but of higher variance: see
        `score_function_mean`. f is in the graph as well, so name the parameters that are to learn:
        `estimator.noise_loss(z).value.backward(inputs=list(noise.parameters()))`.

        Args:
            z: data in model coordinates.
            path_only: keep only the path derivative, through the noise samples: q's parameters are frozen inside
                log q, and the data contribute nothing. That is the gradient of 2 JSD(q, p) for the energy's p without
                its score term, and vanishes where q = p (Roeder, Wu & Duvenaud 2017, "Sticking the landing"). It
                differs from V's by the integral of d_alpha q (p - p_data) / (p + q): biased while the energy is wrong.

        Raises:
            ContrastiveError: if `path_only` is set and the noise is not an `AdaptiveNoise`.
        """
        count = torch.Size([self.draws_for(len(z))])
        if isinstance(self.noise, AdaptiveNoise):
            z_noise, log_q_noise = self.noise.rsample_and_log_prob(count)
            if path_only and self._energy_follows(self.noise):
                contrast, log_q = self._contrast(z, None, z_noise, None), self.noise.log_prob(z)
                # The noise's own log-density at the data stays in the graph, as it does below.
                r_data = contrast.r_data + (log_q.detach() - log_q)
                return replace(contrast, r_data=r_data, data_term=contrast.data_term.detach())
            if path_only:
                log_q_noise = log_prob_of_point(self.noise, z_noise)
            contrast = self._contrast(z, self.noise.log_prob(z), z_noise, log_q_noise)
            return replace(contrast, data_term=contrast.data_term.detach()) if path_only else contrast
        if path_only:
            raise ContrastiveError(f"{type(self.noise).__name__} is not reparameterisable; leave out path_only")
        with torch.no_grad():
            z_noise = self.noise.sample(count)
        log_q, log_q_noise = self.noise.log_prob(z), self.noise.log_prob(z_noise)
        log_q_leaf = log_q_noise.detach().requires_grad_()
        contrast = self._contrast(z, log_q, z_noise, log_q_leaf)
        noise_losses = self.objective(contrast.r_data, contrast.r_noise, self.noise_ratio)[1]
        return replace(contrast, noise_term=score_function_mean(noise_losses, log_q_leaf, log_q_noise))

    def update_base_noise(self) -> None:
        """Hand the present noise to an energy that is built on it; call it again after fitting the noise."""
        if isinstance(self.energy, NoiseAwareEnergy):
            self.energy.start_from(self.noise)

    @torch.no_grad()
    def restart_energy(self, noise: NoiseModel | None = None) -> None:
        """Reset an energy that is built on the noise to it: p is then the present noise, and c is 0.

        Args:
            noise: to reset it to (default: the estimator's own).

        Raises:
            ContrastiveError: if the energy is not built on a noise.
        """
        if not isinstance(self.energy, NoiseAwareEnergy):
            raise ContrastiveError(
                f"{type(self.energy).__name__} is not built on the noise, so it cannot be reset to it; take the "
                "energy 'tilted'"
            )
        self.energy.restart_from(self.noise if noise is None else noise)
        self.log_normalizer.zero_()

    @torch.no_grad()
    def solve_log_normalizer(
        self, z: Float[Tensor, "n *event"], sample_weight: Float[Tensor, " n"] | None = None
    ) -> None:
        """Set every c to its exact optimum for the present f and q, the starting point of training.

        An untrained f may be off by tens of nats, which gradient steps on c take long to make up.

        Args:
            z: data in model coordinates.
            sample_weight: of the data; an objective with a solver of its own gets rows drawn by weight.
        """
        self.log_normalizer.zero_()
        if solve := own_solver(self.objective):
            z = resampled(z, sample_weight)
            solve(self.energy, z, self.noise.sample(torch.Size([len(z)])).to(z.dtype))
            return
        r = self.contrast(z)
        self.log_normalizer.fill_(optimal_log_normalizer(r.r_data, r.r_noise, self.noise_ratio, sample_weight))

    # One formula each ------------------------------------------------------------------------------------------

    def _against(self, noise: NoiseModel, z: Tensor, log_q: Tensor | None) -> Contrast:
        count = self.draws_for(len(z))
        if self._energy_follows(noise):
            return self._contrast(z, None, _sampled(noise, count, z), None)
        with torch.no_grad():
            z_noise, log_q_noise = _sampled_and_scored(noise, count, z)
            log_q = noise.log_prob(z) if log_q is None else log_q
        return self._contrast(z, log_q, z_noise, log_q_noise)

    def _contrast(self, z: Tensor, log_q: Tensor | None, z_noise: Tensor, log_q_noise: Tensor | None) -> Contrast:
        # One pass over data and noise: twice the rows cost less than two calls.
        both = None if log_q is None or log_q_noise is None else torch.cat([log_q, log_q_noise])
        r = self._r(torch.cat([z, z_noise.to(z.dtype)]), both)
        return self._contrast_of(r[: len(z)], r[len(z) :])

    def _fixed(self, z: Tensor, log_q: Tensor) -> Tensor:
        """What is not learned of the log-ratio, where the energy does not follow the noise."""
        return self.energy.log_base(z) - log_q if isinstance(self.energy, FollowingEnergy) else -log_q

    def _contrast_of(self, r_data: Tensor, r_noise: Tensor, sample_weight: Tensor | None = None) -> Contrast:
        losses = self.objective(r_data, r_noise, self.noise_ratio)
        return Contrast.from_losses(r_data, r_noise, *losses, self.noise_ratio, sample_weight)

    def _r(self, z: Tensor, log_q: Tensor | None) -> Tensor:
        """The log-ratio; `log_q` is None where the energy follows the noise, whose log-density then cancels."""
        if log_q is None:
            assert isinstance(self.energy, FollowingEnergy)
            return self.mixture(self._checked(self.energy.tilt(z), z)) - math.log(self.noise_ratio)
        return self.model_log_prob(z) - log_q - math.log(self.noise_ratio)

    def _energy_follows(self, noise: NoiseModel) -> bool:
        return isinstance(self.energy, FollowingEnergy) and self.energy.follows(noise)

    def _as_batch(self, z: Rows) -> Tensor:
        """A batch of any kind, in the dtype of the models' parameters where they have some."""
        z = z if isinstance(z, Tensor) else self.points(z)
        parameters = (parameter for parameter in self.parameters() if parameter is not self.log_normalizer)
        return z.to(self.log_normalizer.device, next((p.dtype for p in parameters), z.dtype))


def _sampled(noise: NoiseModel, n: int, beside: Tensor | None) -> Tensor:
    """Samples of the noise; of a conditional one with the contexts of the rows beside them, n / m for each in turn."""
    if beside is None or not isinstance(noise, NoiseOverRows) or not noise.num_given:
        return noise.sample(torch.Size([n]))
    rows = torch.arange(n, device=beside.device) * len(beside) // n
    return noise.sample_given(beside[rows, -noise.num_given :])


def _sampled_and_scored(noise: NoiseModel, n: int, beside: Tensor | None) -> tuple[Tensor, Tensor]:
    """The same, with their log q."""
    if not num_given(noise):
        return sample_and_log_prob(noise, n)
    z = _sampled(noise, n, beside)
    return z, noise.log_prob(z)
