"""The Bregman family: one consistent loss for every convex function.

With rho = e^r = p / (nu q) and a convex f, the loss

    mean_data[-f'(rho)] + nu mean_noise[rho f'(rho) - f(rho)]

is smallest where rho is the true ratio, c included. How f bends decides where the estimate looks: w(r) = rho f''(rho)
is the weight of a point (`contrastive.inference.asymptotics`).

References: Gutmann & Hirayama (2011), "Bregman divergence as general framework to estimate unnormalized statistical
models"; Uehara, Matsuda & Komaki (2018), "Analysis of noise contrastive estimation from the perspective of asymptotic
variance", arXiv 1808.07983.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus

from contrastive.objectives.base import Objective


@dataclass(frozen=True)
class Bregman(Objective):
    """The objective of a convex f, given by two functions of r, so that they can be stable where rho is not.

    Args:
        slope: r -> f'(e^r), up to a constant.
        dual: r -> e^r f'(e^r) - f(e^r), up to a constant.

    Example:
        >>> objective = Bregman(lambda r: -torch.nn.functional.softplus(-r), torch.nn.functional.softplus)  # NCE's
        >>> objective(torch.zeros(1), torch.zeros(1), 2.0)
        (tensor([0.6931]), tensor([1.3863]))
    """

    slope: Callable[[Tensor], Tensor]
    dual: Callable[[Tensor], Tensor]

    def __call__(
        self, r_data: Float[Tensor, " data"], r_noise: Float[Tensor, " noise"], noise_ratio: float
    ) -> tuple[Float[Tensor, " data"], Float[Tensor, " noise"]]:
        """`-f'(rho)` at the data, and nu times `rho f'(rho) - f(rho)` at the noise."""
        return -self.slope(r_data), noise_ratio * self.dual(r_noise)

    def weight(self, r: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """w = rho f''(rho), the slope's derivative in r."""
        with torch.enable_grad():
            r = r.detach().requires_grad_()
            (weight,) = torch.autograd.grad(self.slope(r).sum(), r)
        return weight

    @classmethod
    def of(cls, f: Callable[[Tensor], Tensor]) -> "Bregman":
        """The objective of any convex f of rho, by autograd: not protected from a rho that overflows.

        Example:
            >>> squares = Bregman.of(lambda rho: rho.square() / 2)
            >>> squares(torch.zeros(1), torch.zeros(1), 1.0)
            (tensor([-1.]), tensor([0.5000]))
        """

        return cls(partial(_slope, f), partial(_dual, f))


# Functions of the module, not of a call: an estimator is pickled with its objective.
def _slope(f: Callable[[Tensor], Tensor], r: Tensor) -> Tensor:
    return _derivative(f, r.exp())


def _dual(f: Callable[[Tensor], Tensor], r: Tensor) -> Tensor:
    rho = r.exp()
    return rho * _derivative(f, rho) - f(rho)


def _derivative(f: Callable[[Tensor], Tensor], rho: Tensor) -> Tensor:
    if rho.requires_grad:
        return torch.autograd.grad(f(rho).sum(), rho, create_graph=True)[0]
    with torch.enable_grad():
        rho = rho.detach().requires_grad_()
        return torch.autograd.grad(f(rho).sum(), rho)[0]


def _log_sigmoid(r: Tensor) -> Tensor:
    return -softplus(-r)


def _identity(r: Tensor) -> Tensor:
    return r


def _root(r: Tensor) -> Tensor:
    return (r / 2).exp()


def _minus_inverse_root(r: Tensor) -> Tensor:
    return -(-r / 2).exp()


def _half_square(r: Tensor) -> Tensor:
    return (2 * r).exp() / 2


#: f = rho log rho - (1 + rho) log(1 + rho): `softplus(-r)` and `nu softplus(r)`, finite with a bounded gradient for
#: every finite r; the sum of both means is -V of FCE. Gutmann & Hyvarinen (2012), "Noise-contrastive estimation of
#: unnormalized statistical models", eq. 8.
LOGISTIC = Bregman(_log_sigmoid, softplus)

#: f = rho log rho: `-r` and `nu e^r`. Maximum likelihood with Z by importance sampling, in one loss: KALE, or Nguyen,
#: Wainwright & Jordan's bound. Self-normalised: arXiv 2503.07021.
IMPORTANCE = Bregman(_identity, torch.exp)

#: f = -2 sqrt(rho): `e^(-r/2)` and `nu e^(r/2)`, Hellinger's. Liu, Rosenfeld, Ravikumar & Risteski (2021), "Analyzing
#: and improving the optimization landscape of noise-contrastive estimation", arXiv 2110.11271.
EXPONENTIAL = Bregman(_minus_inverse_root, _root)

#: f = rho^2 / 2: `-rho` and `nu rho^2 / 2`. Kanamori, Hido & Sugiyama (2009), "A least-squares approach to direct
#: importance estimation".
LEAST_SQUARES = Bregman(torch.exp, _half_square)
