"""Heavy-tailed noise."""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Chi2, Distribution

from contrastive.errors import ContrastiveError
from contrastive.noises.base import ParametricNoise, as_parameter, cholesky, sample_covariance
from contrastive.numerics.row_weights import weighted_mean

_EM_STEPS = 100
_TAILS = (1.0, 2.0, 3.0, 5.0, 10.0, 30.0)


class MultivariateStudentT(Distribution):
    """x = loc + L g sqrt(df / chi2_df), g standard normal in d dimensions.

    Reference: Kotz & Nadarajah (2004), "Multivariate t distributions and their applications", eq. 1.1.
    """

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012 (torch's own declaration)

    def __init__(self, df: Tensor, loc: Float[Tensor, " d"], scale_tril: Float[Tensor, "d d"]) -> None:
        super().__init__(event_shape=loc.shape, validate_args=False)
        self.df, self.loc, self.scale_tril = df, loc, scale_tril

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:
        """Draws of shape `sample_shape + (d,)`."""
        g = torch.randn(*sample_shape, *self.event_shape, dtype=self.loc.dtype, device=self.loc.device)
        chi2 = Chi2(self.df).sample(torch.Size(sample_shape)).unsqueeze(-1)
        return self.loc + (g @ self.scale_tril.mT) * (self.df / chi2).sqrt()

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density in nats."""
        d, df = len(self.loc), self.df
        whitened = torch.linalg.solve_triangular(self.scale_tril, (value - self.loc).unsqueeze(-1), upper=False)
        distance = whitened.squeeze(-1).square().sum(-1)
        constant = torch.lgamma((df + d) / 2) - torch.lgamma(df / 2) - d / 2 * (df.log() + math.log(math.pi))
        return constant - self.scale_tril.diagonal().log().sum() - (df + d) / 2 * torch.log1p(distance / df)


class StudentT(ParametricNoise):
    """A multivariate Student t: elliptical, with tails like |x|^-(df + d).

    Take it where the data have tails heavier than a Gaussian's: log p - log q then stays bounded above far out, and
    the importance weights p/q keep a variance.

    Args:
        event_shape: shape of one data point.
        df: degrees of freedom > 0, fixed while `fit` finds location and scale (by EM).
        loc: location, broadcast to `(d,)`.
        scale_tril: `(d, d)` lower factor of the scale matrix.
    """

    df: Tensor
    loc: Tensor
    scale_tril: Tensor

    def __init__(
        self, event_shape: tuple[int, ...], *, df: float = 5.0, loc: Any = None, scale_tril: Any = None
    ) -> None:
        if not df > 0:
            raise ContrastiveError(f"df must be positive, got {df}")
        super().__init__(event_shape, is_fitted=loc is not None or scale_tril is not None)
        d = self.dim
        self.register_buffer("df", torch.tensor(float(df)))
        self.register_buffer("loc", as_parameter(0.0 if loc is None else loc, (d,), "loc"))
        factor = torch.eye(d) if scale_tril is None else as_parameter(scale_tril, (d, d), "scale_tril").tril()
        self.register_buffer("scale_tril", factor)

    @staticmethod
    def candidates(rows: int, event_shape: tuple[int, ...]) -> list[dict[str, Any]]:
        """Tails from very heavy to nearly Gaussian ones."""
        return [{"df": df} for df in _TAILS]

    def distribution(self) -> Distribution:
        """The multivariate Student t."""
        return MultivariateStudentT(self.df, self.loc, self.scale_tril)

    def _fit(self, x: Float[Tensor, "n d"], sample_weight: Float[Tensor, " n"] | None = None) -> None:
        # EM for known df: Liu & Rubin (1995), "ML estimation of the t distribution using EM", section 3.
        df, d = self.df.double(), self.dim
        loc, scale = weighted_mean(x, sample_weight), sample_covariance(x, sample_weight)
        multiplicity = x.new_ones(len(x)) if sample_weight is None else sample_weight
        for _ in range(_EM_STEPS):
            whitened = torch.linalg.solve_triangular(cholesky(scale), (x - loc).mT, upper=False)
            weights = multiplicity * (df + d) / (df + whitened.square().sum(0))
            loc = (weights[:, None] * x).sum(0) / weights.sum()
            centred = x - loc
            scale = (weights[:, None] * centred).mT @ centred / multiplicity.sum()
        self.loc.copy_(loc)
        self.scale_tril.copy_(cholesky(scale))
