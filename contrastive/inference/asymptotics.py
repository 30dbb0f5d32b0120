"""Standard errors of a contrastive fit, from theory.

With psi the gradient of log p in (theta, c) and w = rho f''(rho) the objective's weight of a point (`Bregman.weight`;
1 / (1 + rho) for NCE), rho = p / (nu q), mu = E_p[w psi]:

    H = E_p[w psi psi^T]
    J = E_p[w^2 psi psi^T] + (nu / kappa) E_p[rho w^2 psi psi^T] - (1 + 1 / kappa) mu mu^T
    n Cov -> H^-1 J H^-1

n data points, kappa noise draws each. Noise that is drawn anew for every step is kappa = infinity. The best that any
estimate can do is Cramer and Rao's E_p[psi psi^T]^-1 - e_c e_c^T.

The model is taken to hold the truth: without that, H is not the loss's curvature.

References: Gutmann & Hyvarinen (2012), theorem 3; Uehara, Matsuda & Komaki (2018), arXiv 1808.07983; ranking: Ma &
Collins (2018), arXiv 1809.01812, theorem 4.3.
"""

import math
from dataclasses import dataclass
from itertools import product

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import functional_call, grad, vmap

from contrastive.core.estimator import Estimator
from contrastive.errors import ContrastiveError
from contrastive.numerics.statistics import normal_threshold
from contrastive.objectives import Bregman, Ranking
from contrastive.protocols import sample_and_log_prob, trainable_parameters

_MOST_PARAMETERS = 2_000
_CONDITION = 1e12
_AT_ONCE = 10_000


@dataclass(frozen=True)
class StandardErrors:
    """The parameters of a fit with the covariance of their estimates.

    Attributes:
        names: of the parameters, `loc[1]` for an entry; the log normaliser c is last, where the objective learns it.
        estimates: shape `(k,)`.
        covariance: of the estimates, shape `(k, k)`.
        cramer_rao: the least covariance that any unbiased estimate from as many data can have.
        n: data points.
    """

    names: tuple[str, ...]
    estimates: Float[Tensor, " k"]
    covariance: Float[Tensor, "k k"]
    cramer_rao: Float[Tensor, "k k"]
    n: int

    @property
    def standard_errors(self) -> Float[Tensor, " k"]:
        """Square roots of the diagonal."""
        return self.covariance.diagonal().sqrt()

    @property
    def efficiency(self) -> Float[Tensor, " k"]:
        """Cramer and Rao's variance over this one's, for each parameter: 1 is as good as maximum likelihood."""
        return self.cramer_rao.diagonal() / self.covariance.diagonal()

    def interval(self, level: float = 0.95) -> tuple[Float[Tensor, " k"], Float[Tensor, " k"]]:
        """Wald intervals: estimate -+ a normal quantile times the standard error."""
        radius = normal_threshold(1 - level) * self.standard_errors
        return self.estimates - radius, self.estimates + radius

    def wald(self, truth: Float[Tensor, " k"]) -> float:
        """Wald's statistic of `truth`: chi-squared with k degrees of freedom if it is true."""
        gap = self.estimates - truth.to(self.estimates)
        return float(gap @ torch.linalg.solve(self.covariance, gap))

    def to_dict(self) -> dict[str, dict[str, float]]:
        """Estimate, standard error and efficiency of each parameter by name, for JSON."""
        columns = zip(self.names, self.estimates.tolist(), self.standard_errors.tolist(), self.efficiency.tolist())
        return {
            name: {"estimate": estimate, "standard_error": error, "efficiency": efficiency}
            for name, estimate, error, efficiency in columns
        }

    def __str__(self) -> str:
        low, high = self.interval()
        width = max(map(len, self.names))
        head = f"{'parameter':{width}}  {'estimate':>12}  {'std. error':>10}  {'95 % interval':>26}  efficiency"
        rows = zip(self.names, self.estimates, self.standard_errors, low, high, self.efficiency)
        lines = [
            f"{name:{width}}  {e:12.6g}  {s:10.3g}  [{a:11.5g}, {b:11.5g}]  {share:10.3f}"
            for name, e, s, a, b, share in rows
        ]
        return "\n".join([head, *lines])


def standard_errors(
    estimator: Estimator,
    x: Float[Tensor, "n *event"],
    *,
    noise_per_data: float = math.inf,
    draws: int | None = None,
) -> StandardErrors:
    """How far the estimates of a parametric energy may be off, and how near they are to maximum likelihood.

    Args:
        estimator: fitted; its energy's trainable parameters are the theta. Entries that f does not depend on (the
            unused triangle of a matrix) are left out.
        x: the data that it was fitted to, in original units.
        noise_per_data: kappa of the fit. `fit` draws noise anew for each step: infinity. For `ranking` it is ignored:
            K is the estimator's own, and the negatives of a data point are taken to be fixed.
        draws: noise samples to average over (default: as many as data, and at least 10,000).

    Raises:
        ContrastiveError: for an energy with no trainable or too many parameters, or whose parameters the data do not
            determine (a neural network's), or an objective without a theory here.
    """
    if not noise_per_data > 0:
        raise ContrastiveError(f"noise_per_data must be positive, got {noise_per_data}")
    objective = estimator.objective
    if not isinstance(objective, Bregman | Ranking):
        raise ContrastiveError("standard errors are known for the Bregman family ('nce', 'is-mle', ...) and 'ranking'")
    z = estimator.model_coordinates(x)
    with torch.no_grad():
        size = draws or max(10_000, len(z))
        z_noise, log_q_noise = sample_and_log_prob(estimator.noise, size)
        log_q = estimator.noise.log_prob(z)
    psi, names, estimates = _scores(estimator, z)
    used = (psi != 0).any(0)
    psi, estimates = psi[:, used], estimates[used]
    names = tuple(name for name, kept in zip(names, used.tolist()) if kept)
    psi_noise = _scores(estimator, z_noise)[0][:, used]
    with torch.no_grad():
        r = estimator.model_log_ratio(z, log_q).double()
        r_noise = estimator.model_log_ratio(z_noise, log_q_noise).double()
    if isinstance(objective, Ranking):
        covariance, cramer_rao = _ranking(estimator, psi, r, psi_noise, r_noise)
        classes = estimator.log_normalizer.numel()
        names, estimates = names[:-classes], estimates[:-classes]
    else:
        covariance, cramer_rao = _bregman(estimator, objective, psi, r, psi_noise, r_noise, noise_per_data)
    return StandardErrors(names, estimates, covariance / len(z), cramer_rao / len(z), len(z))


def _bregman(
    estimator: Estimator,
    objective: Bregman,
    psi: Tensor,
    r: Tensor,
    psi_noise: Tensor,
    r_noise: Tensor,
    kappa: float,
) -> tuple[Tensor, Tensor]:
    classes = estimator.log_normalizer.numel()
    w, w_noise = objective.weight(r), objective.weight(r_noise)
    curvature = _second_moment(psi, w)
    gradient = psi * w[:, None]
    scatter = torch.cov(gradient.mT, correction=0)
    if kappa < math.inf:
        # The noise's part of the gradient; its second moment is nu E_p[rho w^2 psi psi^T].
        of_noise = psi_noise * (estimator.noise_ratio * r_noise.exp() * w_noise)[:, None]
        scatter = scatter + torch.cov(of_noise.mT, correction=0) / kappa
    inverse = _inverse(curvature)
    cramer_rao = _inverse(_second_moment(psi, torch.ones_like(w)))
    if classes == 1:
        cramer_rao[-1, -1] -= 1
    return inverse @ scatter @ inverse, cramer_rao


def _ranking(estimator: Estimator, psi: Tensor, r: Tensor, psi_noise: Tensor, r_noise: Tensor) -> tuple[Tensor, Tensor]:
    """The information identity: n Cov is the inverse of the mean covariance of psi over who might be the data point."""
    classes = estimator.log_normalizer.numel()
    psi, psi_noise = psi[:, :-classes], psi_noise[:, :-classes]
    negatives = max(1, round(estimator.noise_per_data))
    n = min(len(psi), len(psi_noise) // negatives)
    own = torch.arange(n * negatives).reshape(n, negatives)
    scores = torch.cat([r[:n, None], r_noise[own]], 1)
    candidates = torch.cat([psi[:n, None], psi_noise[own]], 1)
    chance = scores.softmax(1)[..., None]
    centred = candidates - (chance * candidates).sum(1, keepdim=True)
    information = torch.einsum("nki,nkj->ij", chance * centred, centred) / n
    return _inverse(information), _inverse(torch.cov(psi.mT, correction=0))


def _second_moment(psi: Tensor, weight: Tensor) -> Tensor:
    return (psi * weight[:, None]).mT @ psi / len(psi)


def _inverse(matrix: Tensor) -> Tensor:
    scale = matrix.diagonal().clamp_min(torch.finfo(matrix.dtype).tiny).sqrt()
    scaled = matrix / scale[:, None] / scale
    if not bool(torch.isfinite(scaled).all()) or float(torch.linalg.cond(scaled)) > _CONDITION:
        raise ContrastiveError(
            "the data do not determine the parameters one by one (their information is singular), so they have no "
            "standard errors; neural networks are like that"
        )
    return torch.linalg.inv(scaled) / scale[:, None] / scale


def _scores(estimator: Estimator, z: Tensor) -> tuple[Tensor, tuple[str, ...], Tensor]:
    """psi at every row, float64, with the names and values of its columns: those of theta, then c."""
    energy, c = estimator.energy, estimator.log_normalizer.detach()
    if not isinstance(energy, torch.nn.Module) or not trainable_parameters(energy):
        raise ContrastiveError("the energy has no trainable parameters, so there is nothing to give errors for")
    theta = {name: p.detach() for name, p in energy.named_parameters() if p.requires_grad}
    total = sum(p.numel() for p in theta.values()) + c.numel()
    if total > _MOST_PARAMETERS:
        raise ContrastiveError(
            f"the energy has {total:,} parameters; standard errors are for parametric energies, up to "
            f"{_MOST_PARAMETERS:,}: 'gaussian', 'ica', 'rbm', ..."
        )
    module = energy

    def log_p(theta: dict[str, Tensor], c: Tensor, point: Tensor) -> Tensor:
        value = functional_call(module, theta, (point[None],))[0] - c
        return value if value.ndim == 0 else value.logsumexp(0) - math.log(len(value))

    of_rows = vmap(grad(log_p, argnums=(0, 1)), in_dims=(None, None, 0))
    rows = []
    for part in z.split(_AT_ONCE):
        of_theta, of_c = of_rows(theta, c, part)
        rows.append(torch.cat([*(g.reshape(len(part), -1) for g in of_theta.values()), of_c.reshape(len(part), -1)], 1))
    names = [f"{name}{place}" for name, p in theta.items() for place in _places(p)]
    values = torch.cat([*(p.flatten() for p in theta.values()), c.flatten()])
    return torch.cat(rows).double(), (*names, *(f"c{place}" for place in _places(c))), values.double()


def _places(tensor: Tensor) -> list[str]:
    """The indices of a tensor's entries as Python writes them: `[0, 1]`; none for a number."""
    if tensor.ndim == 0:
        return [""]
    return [str(list(index)) for index in product(*map(range, tensor.shape))]
