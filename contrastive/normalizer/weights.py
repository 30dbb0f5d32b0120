"""Log-weights f - log q, in parts, as float64; q is the noise with its defensive component, where it has one."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from tqdm import tqdm

from contrastive.core.estimator import Estimator
from contrastive.protocols import EnergyModel, is_discrete, sample_and_log_prob
from contrastive.sampling.kernels import LogDensity

_NUMBERS = 4_000_000  # of the event at once
_MOST_ROWS = 20_000


class OneClass(nn.Module):
    """f_k(z) of an energy with K classes, as an energy without classes."""

    def __init__(self, energy: EnergyModel, index: int) -> None:
        super().__init__()
        self.energy, self.index = energy, index
        self.is_discrete = is_discrete(energy)

    def forward(self, z: Float[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        """f_k(z)."""
        return self.energy(z)[:, self.index]


def one_class(estimator: Estimator, index: int) -> Estimator:
    """An estimator of p(x | class `index`) that shares energy and noise with `estimator`."""
    single = Estimator(
        OneClass(estimator.energy, index),
        estimator.noise,
        scaling=estimator.scaling,
        defensive_component=estimator.defensive_component,
        defensive_share=estimator.defensive_share,
    )
    with torch.no_grad():
        single.log_normalizer.data = estimator.log_normalizer[index].detach().clone()
    return single.train(estimator.training)


@torch.no_grad()
def log_weight(estimator: Estimator, z: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
    """f(z) - log q(z) at points in model coordinates; -inf where both densities are zero."""
    parts = []
    for part in z.split(portions(len(z), estimator.noise.event_shape)):
        parts.append(difference(estimator.energy(part), estimator.defended_noise.log_prob(part)))
    return torch.cat(parts)


@torch.no_grad()
def noise_log_weights(estimator: Estimator, draws: int, *, progress: bool = False) -> Float[Tensor, " m"]:
    """f - log q at fresh draws of q: with the defensive component the weights are bounded where q's tails are light."""
    parts = []
    with tqdm(total=draws, desc="noise", unit="draw", disable=not progress, leave=False) as bar:
        for size in portions(draws, estimator.noise.event_shape):
            z, log_q = sample_and_log_prob(estimator.defended_noise, size)
            parts.append(difference(estimator.energy(z), log_q))
            bar.update(size)
    return torch.cat(parts)


def portions(count: int, event_shape: torch.Size) -> list[int]:
    """`count` cut into as many points as go through the models together."""
    rows = max(1, min(_MOST_ROWS, _NUMBERS // max(1, event_shape.numel())))
    return [min(rows, count - start) for start in range(0, count, rows)]


def path_density(estimator: Estimator, beta: float) -> LogDensity:
    """(1 - beta) log q + beta f, differentiable in z."""

    def log_density(z: Tensor) -> Tensor:
        return (1 - beta) * estimator.noise.log_prob(z) + beta * estimator.energy(z)

    return log_density


def difference(f: Float[Tensor, " n"], log_q: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """f - log q in float64; -inf where the energy has no mass."""
    f, log_q = f.double(), log_q.double()
    # Where the energy is zero, so is the weight, whatever the noise says.
    return torch.where(f == -torch.inf, f, f - log_q)
