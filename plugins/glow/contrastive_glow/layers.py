"""The three layers of a Glow step for vectors, on normflows' own where those are sound.

normflows' convention: `forward` maps latent to data, `inverse` data to latent. Each returns the mapped batch and the
log-determinant of that direction, shape `(batch,)`.
"""

import warnings

import torch
from jaxtyping import Float
from normflows.flows import AffineConstFlow, Flow, InvertibleAffine
from torch import Tensor, nn

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


class AffineCoupling(Flow):
    """x2 = z2 exp(s(z1)) + t(z1), with |s| < `bound`.

    The bound keeps a flow that is trained against an energy from sending a point to infinity; normflows' `exp` map
    has none, and its `log(sigmoid(s + 2))` overflows.
    """

    def __init__(self, dim: int, width: int, hidden_layers: int, bound: float, activation: type[nn.Module]) -> None:
        super().__init__()
        self.kept, self.bound = dim // 2, bound
        layers: list[nn.Module] = []
        size = self.kept
        for _ in range(hidden_layers):
            layers += [nn.Linear(size, width), activation()]
            size = width
        last = nn.Linear(size, 2 * (dim - self.kept))
        nn.init.zeros_(last.weight)  # a fresh coupling is the identity
        nn.init.zeros_(last.bias)
        self.network = nn.Sequential(*layers, last)

    def _shift_and_log_scale(self, kept: Tensor) -> tuple[Tensor, Tensor]:
        shift, raw = self.network(kept).chunk(2, dim=-1)
        return shift, self.bound * torch.tanh(raw / self.bound)

    def forward(self, z: Float[Tensor, "n d"]) -> Mapped:
        """Latent to data."""
        kept, moved = z[:, : self.kept], z[:, self.kept :]
        shift, log_scale = self._shift_and_log_scale(kept)
        return torch.cat([kept, moved * log_scale.exp() + shift], -1), log_scale.sum(-1)

    def inverse(self, x: Float[Tensor, "n d"]) -> Mapped:
        """Data to latent."""
        kept, moved = x[:, : self.kept], x[:, self.kept :]
        shift, log_scale = self._shift_and_log_scale(kept)
        return torch.cat([kept, (moved - shift) * (-log_scale).exp()], -1), -log_scale.sum(-1)
