"""The Gaussian whose mean is linear in the context: the conditional counterpart of `gaussian`."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from contrastive.errors import ContrastiveError
from contrastive.noises.base import cholesky, sample_covariance
from contrastive.noises.conditional import require_contexts
from contrastive.numerics.precision import full_precision
from contrastive.numerics.row_weights import shares, weighted_mean

_RANK_TOLERANCE = 1e-12  # share of a column's variance, in float64


class LinearGaussian(nn.Module):
    """q(x | y) = N(x; W y + b, L L'): linear regression with a full covariance of the residuals.

    It can also learn by gradient steps, so FCE runs on it. Until it is fitted it is a standard normal for every y.

    Args:
        event_shape: `(d,)`, of x.
        context_shape: `(k,)`, of y.
        diagonal: whether the residuals are independent.

    Example:
        >>> y = torch.randn(200, 1)
        >>> noise = LinearGaussian((2,), (1,))
        >>> noise.fit(torch.cat([2 * y, -y], 1) + torch.randn(200, 2), given=y)
        >>> noise.sample(given=torch.zeros(3, 1)).shape
        torch.Size([3, 2])
    """

    rounds_networks_only = True
    fitted: Tensor

    def __init__(self, event_shape: tuple[int, ...], context_shape: tuple[int, ...], *, diagonal: bool = False) -> None:
        super().__init__()
        self.diagonal = diagonal
        self.event_shape, self.context_shape = torch.Size(event_shape), torch.Size(context_shape)
        d, k = self.event_shape.numel(), self.context_shape.numel()
        self.register_buffer("fitted", torch.tensor(False))
        self.weight, self.loc = nn.Parameter(torch.zeros(d, k)), nn.Parameter(torch.zeros(d))
        self.log_diagonal, self.below_diagonal = nn.Parameter(torch.zeros(d)), nn.Parameter(torch.zeros(d, d))

    @property
    def is_fitted(self) -> bool:
        """Whether the parameters come from data."""
        return bool(self.fitted)

    @torch.no_grad()
    def fit(
        self, x: Float[Tensor, "n d"], *, given: Float[Tensor, "n k"], sample_weight: Float[Tensor, " n"] | None = None
    ) -> None:
        """Maximum likelihood: least squares, and the covariance of the residuals, in float64; weights are positive.

        Raises:
            ContrastiveError: if columns of x are linear in the others and y, the rows are too few, or the contexts are
                not one for each.
        """
        require_contexts(given, len(x), self.context_shape, "linear gaussian")
        x, y = x.double(), given.double()
        mean_x, mean_y = weighted_mean(x, sample_weight), weighted_mean(y, sample_weight)
        each = torch.ones(len(x), 1).to(x) if sample_weight is None else shares(sample_weight)[:, None].sqrt()
        # Of collinear contexts the shortest of the solutions, which all say the same; only the CPU's driver has it.
        sides = ((each * (y - mean_y)).cpu(), (each * (x - mean_x)).cpu())
        solution = torch.linalg.lstsq(*sides, driver="gelsd").solution.to(x)
        covariance = sample_covariance(x - mean_x - (y - mean_y) @ solution, sample_weight)
        _require_residuals(covariance.diagonal(), sample_covariance(x, sample_weight).diagonal())
        factor = cholesky(covariance.diagonal().diag() if self.diagonal else covariance)
        self.weight.copy_(solution.mT)
        self.loc.copy_(mean_x - mean_y @ solution)
        self.log_diagonal.copy_(factor.diagonal().log())
        self.below_diagonal.copy_(factor.tril(-1))
        self.fitted.fill_(True)

    def log_prob(self, value: Float[Tensor, "n d"], *, given: Float[Tensor, "n k"]) -> Float[Tensor, " n"]:
        """log q(value | given) in nats."""
        with full_precision(value):
            residual = value - self._mean(given, len(value))
            standard = torch.linalg.solve_triangular(self._factor(), residual.mT, upper=False).mT
            return self._log_density(standard)

    @torch.no_grad()
    def sample(self, *, given: Float[Tensor, "n k"]) -> Float[Tensor, "n d"]:
        """One draw for each context."""
        return self.rsample_and_log_prob(given=given)[0]

    def rsample_and_log_prob(self, *, given: Float[Tensor, "n k"]) -> tuple[Float[Tensor, "n d"], Float[Tensor, " n"]]:
        """One draw for each context and its log-density, both differentiable in the parameters (pathwise)."""
        standard = torch.randn(len(given), len(self.loc), dtype=self.loc.dtype, device=self.loc.device)
        with full_precision(standard):
            return self._mean(given, len(given)) + standard @ self._factor().mT, self._log_density(standard)

    def _mean(self, y: Float[Tensor, "n k"], rows: int) -> Float[Tensor, "n d"]:
        require_contexts(y, rows, self.context_shape, "linear gaussian")
        return y.to(self.weight.dtype) @ self.weight.mT + self.loc

    def _factor(self) -> Float[Tensor, "d d"]:
        below = torch.zeros_like(self.below_diagonal) if self.diagonal else self.below_diagonal.tril(-1)
        return below.diagonal_scatter(self.log_diagonal.exp())

    def _log_density(self, standard: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        return -(standard.square() + math.log(2 * math.pi)).sum(-1) / 2 - self.log_diagonal.sum()


def _require_residuals(left: Float[Tensor, " d"], variance: Float[Tensor, " d"]) -> None:
    """Refuse columns of which rounding alone is left over: their density given y would have no bound."""
    explained = ((left <= _RANK_TOLERANCE * variance) & (variance > 0)).nonzero().flatten().tolist()
    if explained:
        raise ContrastiveError(
            f"the given columns determine column {explained[0]} of the events exactly: drop it, or fit to more rows"
        )
