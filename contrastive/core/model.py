"""The energy-based model p(x) = exp(f(x) - c): densities, classes, units; it needs no noise."""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from contrastive.core.class_prior import log_class_prior
from contrastive.data.points import Rows, as_contexts, as_rows
from contrastive.data.scaling import Coordinates
from contrastive.errors import ContrastiveError
from contrastive.protocols import EnergyModel, FollowingEnergy, num_classes


def without_graph(method: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Let a method take rows of any kind, and answer with a graph only where they ask for one (`requires_grad`).

    It takes what is given apart from them, too.
    """

    @wraps(method)
    def answer(self: "EnergyBasedModel", x: Any, given: Any = None) -> Tensor:
        x = self.points(x, given)
        with torch.set_grad_enabled(torch.is_grad_enabled() and x.requires_grad):
            return method(self, x)

    return answer


class EnergyBasedModel(nn.Module):
    """p(x) = exp(f(x) - c), and for a K-class energy its classes.

    With K classes f and c have K entries and the density is the mixture
    log p(x) = logsumexp_k(f_k(x) - c_k + log pi_k), pi the class prior (Gao et al. 2020, eqs. 16, 18). Its classes are
    also a classifier: P(k | x) is the softmax of f_k(x) - c_k + log pi_k.

    `log_prob`, `class_log_prob`, `unnormalized_log_prob`, `predict` and `predict_proba` take rows in the ORIGINAL
    units, as `fit` does: a tensor, an array, nested lists, a data frame, whose columns are found by name, or a file.
    They count the log-determinant of `scaling`, and answer with tensors without a graph, unless the rows require a
    gradient. `model_energy`, `model_log_prob` and `class_logits` take model coordinates, `scaling(x)`, and are
    differentiable in the parameters.

    A conditional density p(x | y) is one of rows (x, y), y in the last columns (`scaling.num_given` of them): f is a
    function of both, and log-densities are those of x. Its methods take whole rows, or `given=y` beside x. c is one
    number: f absorbs what of log Z(y) depends on y, as far as it has learned to.

    Args:
        energy: gives f(x), shape `(batch,)` or `(batch, K)`, high = likely; its `num_classes` (if any) is K.
        scaling: from original units to model coordinates.
        class_prior: pi, one positive number a class, scaled to sum to 1 (default: equal).

    Attributes:
        log_normalizer: c, shape `()` or `(K,)`: a parameter near log Z, not a proven log Z.
        columns: names of the columns that were fitted, by which those of a data frame are found; None without names.

    Raises:
        ContrastiveError: if `class_prior` is not of the energy's classes.
    """

    log_class_prior: Tensor | None

    def __init__(
        self, energy: EnergyModel, scaling: Coordinates, *, class_prior: Sequence[float] | None = None
    ) -> None:
        super().__init__()
        self.energy = energy
        self.num_classes: int | None = num_classes(energy)
        self.log_normalizer = nn.Parameter(torch.zeros(() if self.num_classes is None else (self.num_classes,)))
        # Not in the state: it is a setting, and checkpoints without classes have none.
        self.register_buffer("log_class_prior", log_class_prior(class_prior, self.num_classes), persistent=False)
        self.scaling: Coordinates = scaling
        self.columns: tuple[str, ...] | None = None

    # In original units -----------------------------------------------------------------------------------------

    @without_graph
    def log_prob(self, x: Rows) -> Float[Tensor, " batch"]:
        """log p(x) = f(x) - c in nats, with the learned c: a parameter, not a proven log Z.

        Where the objective does not learn c (`ranking`, `mc-mle`, `conditional`) training ends by setting it to NCE's
        optimum.

        Raises:
            ContrastiveError: if `x` is not a batch of events.
        """
        return self.model_log_prob(self.model_coordinates(x)) + self.log_det(x)

    @without_graph
    def class_log_prob(self, x: Rows) -> Float[Tensor, "batch K"]:
        """log p(x | class k) = f_k(x) - c_k for a K-class energy."""
        self._require_classes("class_log_prob")
        return self.unnormalized_log_prob(x) - self.log_normalizer

    @without_graph
    def predict_proba(self, x: Rows) -> Float[Tensor, "batch K"]:
        """P(class k | x), given that x is data and no noise: the softmax of f_k(x) - c_k + log pi_k.

        Raises:
            ContrastiveError: for an energy without classes.
        """
        self._require_classes("predict_proba")
        return self.class_logits(self.model_coordinates(x)).softmax(-1)

    def predict(self, x: Rows, given: Rows | None = None) -> Int[Tensor, " batch"]:
        """The most probable class of each point, from 0 to K - 1.

        Raises:
            ContrastiveError: for an energy without classes.
        """
        return self.predict_proba(x, given).argmax(-1)

    @without_graph
    def unnormalized_log_prob(self, x: Rows) -> Float[Tensor, "batch *classes"]:
        """f(x), c not subtracted: shape `(batch,)`, or `(batch, K)`."""
        log_det = self.log_det(x)
        f = self.model_energy(self.model_coordinates(x))
        return f + (log_det if self.num_classes is None else log_det.unsqueeze(-1))

    def model_coordinates(self, x: Rows) -> Float[Tensor, "n *event"]:
        """`x` in the coordinates of energy and noise, in the model's dtype and on its device."""
        return self.scaling(self.points(x), self.log_normalizer.dtype)

    def points(self, x: Rows, given: Rows | None = None) -> Float[Tensor, "n *event"]:
        """Rows in original units as a tensor on the model's device: an array, lists, a data frame, a file, ...

        Args:
            x: rows; of a conditional density (x, y), or x alone beside `given`.
            given: y, one for each row or one for all.

        Raises:
            ContrastiveError: if `x` is no batch of events, or lacks a column; see `contrastive.data.points`.
        """
        return as_rows(x, given, self.scaling, self.columns).to(self.log_normalizer.device)

    def model_contexts(self, given: Rows) -> Float[Tensor, "m k"]:
        """Contexts of a conditional density in model coordinates: numbers by column, an array, a frame, a file.

        Raises:
            ContrastiveError: if the model conditions on nothing, or these are not its contexts; see
                `contrastive.data.points.as_contexts`.
        """
        y = as_contexts(given, self.scaling, self.columns).to(self.log_normalizer.device)
        free = self.scaling.event_shape[0] - self.scaling.num_given
        rows = torch.cat([y.new_zeros(len(y), free), y], 1)
        return self.scaling(rows, self.log_normalizer.dtype)[:, free:]

    def log_det(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, "*n"]:
        """log |dz/dx| of `scaling` at `x`, in the dtype of c: what turns a log-density over z into one over x."""
        return self.scaling.log_det(x).to(self.log_normalizer.dtype)

    # In model coordinates --------------------------------------------------------------------------------------

    def model_energy(self, z: Float[Tensor, "n *event"]) -> Float[Tensor, "n *classes"]:
        """f(z), at least float32 even under autocast, since f - log q is a small difference of large numbers.

        Raises:
            ContrastiveError: if the energy gives another shape than one number (or one a class) for each point.
        """
        return self._checked(self.energy(z), z)

    def model_log_prob(self, z: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
        """log p(z) = f(z) - c, of all classes together."""
        return self.mixture(self.model_energy(z))

    def class_logits(self, z: Float[Tensor, "n *event"]) -> Float[Tensor, "n K"]:
        """Logits of the posterior P(k | z): f_k - c_k + log pi_k, less what all classes of a row have in common."""
        self._require_classes("class_logits")
        assert self.log_class_prior is not None
        # log q0 of a tilted energy is that: thousands of nats, and a pass through q for nothing.
        f = self._checked(self.energy.tilt(z), z) if isinstance(self.energy, FollowingEnergy) else self.model_energy(z)
        return f - self.log_normalizer + self.log_class_prior

    def mixture(self, f: Float[Tensor, "n *classes"]) -> Float[Tensor, " n"]:
        """log p from f: f - c, or for K classes logsumexp_k(f_k - c_k + log pi_k)."""
        if self.log_class_prior is None:
            return f - self.log_normalizer
        return torch.logsumexp(f - self.log_normalizer + self.log_class_prior, dim=-1)

    def _require_classes(self, what: str) -> None:
        if self.num_classes is None:
            raise ContrastiveError(f"this energy has no classes; {what} needs f of shape (batch, K)")

    def _checked(self, f: Tensor, z: Tensor) -> Tensor:
        expected = (len(z),) if self.num_classes is None else (len(z), self.num_classes)
        if f.shape != expected:
            raise ContrastiveError(
                f"the energy gave f of shape {tuple(f.shape)} for {len(z)} points, expected {expected}; "
                "an energy of K classes says so by an attribute num_classes"
            )
        return f if f.dtype == torch.float64 else f.float()  # f - log q needs float32 even under autocast
