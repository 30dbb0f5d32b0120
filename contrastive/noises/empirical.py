"""Noises that are samples: the base measure of a ratio is the distribution of the rows itself."""

import torch
from jaxtyping import Float
from torch import Tensor

from contrastive.errors import ContrastiveError
from contrastive.noises.base import Noise


class EmpiricalNoise(Noise):
    """Rows of a sample, drawn with replacement; log q is 0, as densities are with respect to the sample's own law.

    An energy h that is contrasted with it is a log-ratio: log p_A(x) / p_B(x) = h(x) - c, with p_B the law of the rows.
    Nothing needs p_B's density, which no sample gives. It is therefore no density to report or to check.

    Args:
        rows: of B, in model coordinates. They are no part of the `state_dict`.

    Raises:
        ContrastiveError: without rows.

    Example:
        >>> noise = EmpiricalNoise(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
        >>> x, log_q = noise.sample_and_log_prob(torch.Size([3]))
        >>> x.shape, log_q
        (torch.Size([3, 2]), tensor([0., 0., 0.]))
    """

    rows: Tensor
    rounds_networks_only = True

    def __init__(self, rows: Float[Tensor, "n *event"]) -> None:
        super().__init__(tuple(rows.shape[1:]))
        if not len(rows):
            raise ContrastiveError("a noise of rows needs at least one row")
        self.register_buffer("rows", rows, persistent=False)

    @torch.no_grad()
    def sample(self, sample_shape: torch.Size = torch.Size()) -> Float[Tensor, "*shape"]:
        """Rows drawn uniformly, with replacement, shape `sample_shape + event_shape`."""
        return self.rows[torch.randint(len(self.rows), tuple(sample_shape), device=self.rows.device)]

    def log_prob(self, value: Float[Tensor, "*shape"]) -> Float[Tensor, "*batch"]:
        """0, the log-density with respect to the rows' own law."""
        return value.new_zeros(value.shape[: value.ndim - len(self.event_shape)])


class IndependentNoise(EmpiricalNoise):
    """The product of the margins of x and y: x of one row beside y of another, paired anew at each draw; log q is 0.

    Args:
        rows: of the joint law, x's columns first, shape `(n, d)`, in model coordinates.
        split: how many columns x has.

    Raises:
        ContrastiveError: for fewer than two rows, or if a side has no column.

    Example:
        >>> noise = IndependentNoise(torch.tensor([[1.0, 10.0], [2.0, 20.0]]), split=1)
        >>> sorted(set(map(tuple, noise.sample(torch.Size([50])).tolist())))
        [(1.0, 20.0), (2.0, 10.0)]
    """

    def __init__(self, rows: Float[Tensor, "n d"], split: int) -> None:
        super().__init__(rows)
        if len(rows) < 2 or not 0 < split < rows.shape[1]:
            raise ContrastiveError(
                f"a product of margins needs two rows and a column on each side, got {len(rows)} rows and {split} of "
                f"{rows.shape[1]} columns"
            )
        self.split = split

    @torch.no_grad()
    def sample(self, sample_shape: torch.Size = torch.Size()) -> Float[Tensor, "*shape"]:
        """Pairs (x of row i, y of row j), j uniform over the rows other than i."""
        n, shape = len(self.rows), tuple(sample_shape)
        of_x = torch.randint(n, shape, device=self.rows.device)
        of_y = (of_x + torch.randint(1, n, shape, device=self.rows.device)) % n
        return torch.cat([self.rows[of_x][..., : self.split], self.rows[of_y][..., self.split :]], -1)
