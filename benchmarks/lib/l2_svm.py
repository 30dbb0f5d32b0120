"""A linear support vector machine with the squared hinge, one class against the rest: quick where rows are dense.

The problem is that of scikit-learn's `LinearSVC(loss="squared_hinge")`, the intercept a penalised weight as there:

    minimise over w    |w|^2 / 2 + C sum over i of max(0, 1 - y_i w . (x_i, 1))^2

liblinear walks over one row after the other: minutes for 4,000 rows of some thousand features. The objective is smooth,
so L-BFGS over all rows and classes at once finds the same minimum in seconds (a test compares the two).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

Rows = NDArray[np.floating]
Labels = NDArray[np.integer]


@dataclass(frozen=True)
class L2SVM:
    """A fitted machine.

    Attributes:
        classes: the labels it knows.
        weights: shape `(features, classes)`, for standardised features.
        intercepts: shape `(classes,)`.
        mean: of the features, on the rows it was fitted to.
        scale: their standard deviation there; 1 where that is 0.
        C: of the objective.
    """

    classes: Labels
    weights: Rows
    intercepts: Rows
    mean: Rows
    scale: Rows
    C: float

    def predict(self, x: Rows) -> Labels:
        """The class with the largest margin."""
        return self.classes[(((x - self.mean) / self.scale) @ self.weights + self.intercepts).argmax(1)]

    def error(self, x: Rows, y: Labels) -> float:
        """Share of wrong labels."""
        return float((self.predict(x) != y).mean())


def fit_l2_svm(x: Rows, y: Labels, C: float, *, iterations: int = 100, tolerance: float = 1e-4) -> L2SVM:
    """Standardise the features, then minimise the objective.

    Args:
        x: shape `(n, features)`.
        y: shape `(n,)`.
        C: weight of the hinge.
        iterations: of L-BFGS, at most.
        tolerance: largest entry of the gradient at the end, a row.
    """
    mean, scale = x.mean(0), x.std(0)
    scale = np.where(scale > 0, scale, 1)
    rows, rotation = _rotated(((x - mean) / scale).astype(np.float32))
    rows = np.concatenate([rows, np.ones((len(rows), 1), rows.dtype)], 1)
    classes = np.unique(y)
    signs = np.where(y[:, None] == classes, 1, -1).astype(np.float32)

    def objective(flat: Rows) -> tuple[float, Rows]:
        w = flat.reshape(rows.shape[1], len(classes))
        short = np.maximum(1 - signs * (rows @ w.astype(np.float32)), 0)
        gradient = w - 2 * C * (rows.T @ (signs * short)).astype(np.float64)
        return float((w**2).sum() / 2 + C * (short.astype(np.float64) ** 2).sum()), gradient.ravel()

    start = np.zeros(rows.shape[1] * len(classes))
    options = {"maxiter": iterations, "gtol": tolerance * C * len(x), "ftol": 1e-10, "maxcor": 20}
    found = minimize(objective, start, jac=True, method="L-BFGS-B", options=options).x.reshape(-1, len(classes))
    return L2SVM(classes, rotation @ found[:-1], found[-1], mean, scale, C)


def choose_l2_svm(
    x: Rows, y: Labels, *, grid: Sequence[float] = (1e-3, 1e-2, 1e-1), folds: int = 3, seed: int = 0
) -> L2SVM:
    """The machine whose C has the least error in cross-validation on these rows; the smallest such C."""
    fold = np.random.default_rng(seed).permutation(len(x)) % folds
    errors = {
        C: np.mean([fit_l2_svm(x[fold != k], y[fold != k], C).error(x[fold == k], y[fold == k]) for k in range(folds)])
        for C in grid
    }
    return fit_l2_svm(x, y, min(errors, key=lambda C: errors[C]))


def _rotated(x: Rows) -> tuple[Rows, Rows]:
    """Rows in an orthonormal basis of what they span, and the map back: the penalty sees no rotation."""
    if len(x) >= x.shape[1]:
        return x, np.eye(x.shape[1], dtype=x.dtype)
    basis, _ = np.linalg.qr(x.T)
    return x @ basis, basis
