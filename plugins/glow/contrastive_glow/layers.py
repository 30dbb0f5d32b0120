"""Two layers of a Glow step for vectors, on normflows' own; the third is in `coupling`.

normflows' convention: `forward` maps latent to data, `inverse` data to latent. Each returns the mapped batch and the
log-determinant of that direction, shape `(batch,)`.
"""

import warnings

import torch
from jaxtyping import Float
from normflows.flows import AffineConstFlow, InvertibleAffine
from torch import Tensor

Mapped = tuple[Float[Tensor, "n d"], Float[Tensor, " n"]]


class ActNorm(AffineConstFlow):
    """Scale and shift a coordinate, set once by `initialize`.

    normflows 1.7.3's ActNorm sets itself by the first batch that passes in either direction, in eval too: sampling
    first would fit it to the flow's own noise. It also gives NaN on a batch of one.
    """

    def __init__(self, dim: int) -> None:
        super().__init__((dim,))

    @torch.no_grad()
    def initialize(self, x: Float[Tensor, "n d"]) -> None:
        """Let `inverse(x)` have mean 0 and standard deviation 1 in each coordinate."""
        self.t.copy_(x.mean(0, keepdim=True))
        self.s.copy_(x.std(0, keepdim=True, correction=0).clamp_min(1e-6).log())

    def forward(self, z: Float[Tensor, "n d"]) -> Mapped:
        """Latent to data."""
        return z * self.s.exp() + self.t, self.s.sum().expand(len(z))

    def inverse(self, x: Float[Tensor, "n d"]) -> Mapped:
        """Data to latent."""
        return (x - self.t) * (-self.s).exp(), -self.s.sum().expand(len(x))


class Linear(InvertibleAffine):
    """Glow's invertible 1x1 convolution for vectors: x W, W = P L U.

    normflows 1.7.3 builds W^-1 from two float64 matrix inverses in every call; two triangular solves do.
    """

    def __init__(self, dim: int) -> None:
        with warnings.catch_warnings():  # normflows 1.7.3 calls the deprecated torch.lu
            warnings.simplefilter("ignore", UserWarning)
            super().__init__(dim, use_lu=True)

    def _factors(self) -> tuple[Tensor, Tensor]:
        diagonal = self.sign_S * self.log_S.exp()
        return self.L.tril(-1) + self.eye, self.U.triu(1) + diagonal.diag()

    def forward(self, z: Float[Tensor, "n d"], context: None = None) -> Mapped:
        """Latent to data: z W^-1."""
        lower, upper = self._factors()
        # z = x P L U  =>  solve for x P L, then for x P, each from the right.
        x = torch.linalg.solve_triangular(upper, z, upper=True, left=False)
        x = torch.linalg.solve_triangular(lower, x, upper=False, left=False, unitriangular=True)
        return x @ self.P.mT, -self.log_S.sum().expand(len(z))

    def inverse(self, x: Float[Tensor, "n d"], context: None = None) -> Mapped:
        """Data to latent: x W."""
        lower, upper = self._factors()
        return x @ (self.P @ lower @ upper), self.log_S.sum().expand(len(x))
