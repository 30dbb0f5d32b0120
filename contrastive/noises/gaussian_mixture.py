"""Mixture-of-Gaussians noise, fitted by scikit-learn's EM."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Categorical, Distribution, MixtureSameFamily, MultivariateNormal

from contrastive.errors import ContrastiveError, missing_extra
from contrastive.noises.base import ParametricNoise


class GaussianMixture(ParametricNoise):
    """A mixture of full-covariance Gaussians.

    A strong fixed noise in few dimensions, and for multi-modal data one that an affine flow does not beat.

    Args:
        event_shape: shape of one data point.
        components: number of Gaussians.
        max_rows: `fit` takes at most this many rows, evenly spaced (EM visits every row in every iteration).

    Raises:
        ContrastiveError: if `fit` gets fewer rows than components, or scikit-learn is not installed.
    """

    logits: Tensor
    locs: Tensor
    scale_trils: Tensor

    def __init__(self, event_shape: tuple[int, ...], *, components: int = 8, max_rows: int = 50_000) -> None:
        super().__init__(event_shape)
        if components < 1:
            raise ContrastiveError(f"components must be at least 1, got {components}")
        self.components, self.max_rows = components, max_rows
        self.register_buffer("logits", torch.zeros(components))
        self.register_buffer("locs", torch.zeros(components, self.dim))
        self.register_buffer("scale_trils", torch.eye(self.dim).repeat(components, 1, 1))

    def distribution(self) -> Distribution:
        """The mixture."""
        parts = MultivariateNormal(self.locs, scale_tril=self.scale_trils, validate_args=False)
        return MixtureSameFamily(Categorical(logits=self.logits, validate_args=False), parts, validate_args=False)

    def _fit(self, x: Float[Tensor, "n d"]) -> None:
        try:
            from sklearn.mixture import GaussianMixture as EM  # a second to import, needed only here
        except ImportError as error:
            raise missing_extra("fitting the noise 'gaussian-mixture' needs", "mixture", error) from error
        if len(x) < self.components:
            raise ContrastiveError(f"{len(x)} rows cannot fit {self.components} mixture components; ask for fewer")
        rows = x[:: max(1, len(x) // self.max_rows)].cpu().numpy()
        ridge = 1e-4 * float(x.var(0, correction=0).mean())
        em = EM(self.components, reg_covar=ridge, n_init=3, random_state=0).fit(rows)
        self.logits.copy_(torch.from_numpy(em.weights_).log())
        self.locs.copy_(torch.from_numpy(em.means_))
        self.scale_trils.copy_(torch.linalg.cholesky(torch.from_numpy(em.covariances_)))
