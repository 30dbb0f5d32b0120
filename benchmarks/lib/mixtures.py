"""A product over coordinates of (N(-1, 1/16) + N(1, 1/16)) / 2: 2^d modes of equal mass, and log p known."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily, Normal

SD = 0.25
SPREAD = math.sqrt(1 + SD**2)  # standard deviation of a coordinate


def product_of_mixtures(dim: int) -> Distribution:
    """The density over `dim` coordinates."""
    modes = Normal(torch.tensor([-1.0, 1.0]).expand(dim, 2), SD)
    return Independent(MixtureSameFamily(Categorical(torch.ones(dim, 2)), modes), 1)


def coordinate(x: Tensor, log_sd: Tensor | float = math.log(SD)) -> tuple[Tensor, Tensor]:
    """log p of one coordinate, and its derivative in the logarithm of the modes' standard deviation."""
    log_sd = torch.as_tensor(log_sd, dtype=x.dtype)
    squares = (torch.stack([x - 1, x + 1]) * (-log_sd).exp()).square()
    log_modes = -0.5 * squares - log_sd - math.log(2 * math.sqrt(2 * math.pi))
    chances = log_modes.softmax(0)
    return log_modes.logsumexp(0), (chances * (squares - 1)).sum(0)


def log_gaussian(x: Tensor) -> Tensor:
    """log of the Gaussian with the same mean and variance, one coordinate."""
    return -0.5 * (x / SPREAD).square() - math.log(SPREAD) - 0.5 * math.log(2 * math.pi)


def information() -> float:
    """Fisher's information on the modes' log-sd in one coordinate."""
    x = torch.linspace(-1 - 12 * SD, 1 + 12 * SD, 100_001, dtype=torch.float64)
    log_p, score = coordinate(x)
    return float(torch.trapezoid(log_p.exp() * score.square(), x))


def variance_ratio(dim: int, cells: int = 1 << 15) -> float:
    """Var of NCE over maximum likelihood's, of the modes' log-sd with c unknown too; q the Gaussian, nu = kappa = 1.

    I_w^-1 - (1 + 1/nu) e_c e_c^T over the inverse Fisher information. E_p[w s_i s_j], with s the coordinates' scores
    and w = q / (p + q) a function of the sum of their log-ratios, comes from convolutions of the distribution of one:
    exact up to the width of the `cells`, however many modes there are.
    """
    x = torch.linspace(-1 - 12 * SD, 1 + 12 * SD, 400_001, dtype=torch.float64)
    log_p, score = coordinate(x)
    r, mass = log_p - log_gaussian(x), log_p.exp() * (x[1] - x[0])
    reach = float(r.abs().max())
    edge = reach + 12 * math.sqrt(dim) * float((mass * r.square()).sum().sqrt()) + dim * abs(float((mass * r).sum()))
    width = 2 * edge / cells
    place = r / width

    def spectrum(weights: Tensor) -> Tensor:
        # Each point is shared by its two cells, so that means are kept.
        low = place.floor()
        share = place - low
        histogram = torch.zeros(cells, dtype=torch.float64)
        for index, part in ((low, 1 - share), (low + 1, share)):
            histogram.index_add_(0, index.long() % cells, part * weights)
        return torch.fft.rfft(histogram)

    plain, once, twice = (spectrum(mass * score**k) for k in range(3))
    at = torch.fft.fftfreq(cells, 1 / cells, dtype=torch.float64) * width
    w = torch.sigmoid(-at)

    def mean(product: Tensor) -> float:
        return float((torch.fft.irfft(product, cells) * w).sum())

    i_cc = mean(plain**dim)
    i_sc = dim * mean(once * plain ** (dim - 1))
    i_ss = dim * mean(twice * plain ** (dim - 1))
    if dim > 1:
        i_ss += dim * (dim - 1) * mean(once.square() * plain ** (dim - 2))
    variance = 1 / (i_ss - i_sc**2 / i_cc)
    return variance * dim * information()


@dataclass(frozen=True)
class Variance:
    """Predicted and found ratio of variances in one dimension, over replications of n points."""

    dim: int
    n: int
    replications: int
    predicted: float
    found: float


def measure_variance(dim: int, replications: int, *, points: int = 200) -> Variance:
    """Fit (log-sd, c) to data sets of n = `points` times the predicted ratio rows, by Fisher scoring from the truth."""
    predicted = variance_ratio(dim)
    n = int(max(2_000, points * predicted))
    generator = torch.Generator().manual_seed(dim)
    errors = torch.tensor([_fitted_log_sd(dim, n, generator) - math.log(SD) for _ in range(replications)])
    return Variance(dim, n, replications, predicted, n * float(errors.square().mean()) * dim * information())


def _fitted_log_sd(dim: int, n: int, generator: torch.Generator) -> float:
    signs = torch.randint(2, (n, dim), generator=generator, dtype=torch.float64) * 2 - 1
    x = signs + SD * torch.randn(n, dim, generator=generator, dtype=torch.float64)
    y = SPREAD * torch.randn(n, dim, generator=generator, dtype=torch.float64)
    points = torch.cat([x, y])
    log_q = log_gaussian(points).sum(1)
    theta = torch.tensor([math.log(SD), 0.0], dtype=torch.float64)
    for _ in range(20):
        log_p, score = coordinate(points, theta[0])
        chance = torch.sigmoid(log_p.sum(1) - theta[1] - log_q)
        psi = torch.stack([score.sum(1), -torch.ones(2 * n, dtype=torch.float64)], 1)
        residual = torch.cat([1 - chance[:n], -chance[n:]])
        information = torch.einsum("n,ni,nj->ij", chance * (1 - chance), psi, psi)
        step = torch.linalg.solve(information, psi.mT @ residual)
        theta = theta + step
        if float(step.abs().max()) < 1e-8:
            break
    return float(theta[0])
