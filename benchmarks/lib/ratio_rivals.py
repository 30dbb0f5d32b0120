"""What a user would take in the place of `fit_ratio`, and Gaussians whose answers are known."""

import math
import warnings
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma
from sklearn.linear_model import LogisticRegressionCV
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

Array = NDArray[np.float64]

SCALE, SHIFT = 0.8, 1.0  # of A against B
_FLOOR = 1e-6  # uLSIF's ratios may be 0


def two_gaussians(d: int, n: int, seed: int) -> tuple[Array, Array]:
    """`n` rows each of A = N(m, 0.64 I) with |m| = 1, and of B = N(0, I)."""
    rng = np.random.default_rng(seed)
    return SCALE * rng.normal(size=(n, d)) + SHIFT / math.sqrt(d), rng.normal(size=(n, d))


def known_log_ratio(x: Array) -> Array:
    """log p_A / p_B of these Gaussians."""
    d = x.shape[1]
    log_ratio: Array = ((x**2 - ((x - SHIFT / math.sqrt(d)) / SCALE) ** 2) / 2 - math.log(SCALE)).sum(1)
    return log_ratio


def known_kl(d: int) -> float:
    """KL(A || B)."""
    return (d * (SCALE**2 - 1) + SHIFT**2) / 2 - d * math.log(SCALE)


def correlated(k: int, information: float, n: int, seed: int) -> tuple[Array, Array]:
    """`n` pairs of vectors of `k` entries, paired by one correlation, of that mutual information in nats."""
    rng = np.random.default_rng(seed)
    rho = math.sqrt(-math.expm1(-2 * information / k))
    x = rng.normal(size=(n, k))
    return x, rho * x + math.sqrt(1 - rho**2) * rng.normal(size=(n, k))


def logistic_regression(a: Array, b: Array, x: Array) -> Array:
    """Log-odds on all quadratic features, the L2 penalty by 3-fold cross-validation: the right family for Gaussians."""
    model = make_pipeline(
        StandardScaler(),
        PolynomialFeatures(2, include_bias=False),
        StandardScaler(),
        LogisticRegressionCV(Cs=np.logspace(-3, 0, 4), cv=3, scoring="neg_log_loss", max_iter=200),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of scikit-learn's own defaults
        model.fit(np.concatenate([a, b]), np.repeat([1, 0], [len(a), len(b)]))
    log_odds: Array = model.decision_function(x)
    return log_odds - math.log(len(a) / len(b))


def has_ulsif() -> bool:
    """Whether the package densratio is installed."""
    return find_spec("densratio") is not None


def ulsif(a: Array, b: Array, x: Array) -> Array:
    """uLSIF by the package densratio with its defaults; ratios below 1e-6 count as that.

    Reference: Kanamori, Hido & Sugiyama (2009), "A least-squares approach to direct importance estimation".
    """
    from densratio import densratio

    found = densratio(a, b, verbose=False).compute_density_ratio(x)
    log_ratio: Array = np.log(np.maximum(np.asarray(found, dtype=float), _FLOOR))
    return log_ratio


def ksg(x: Array, y: Array, neighbours: int = 3) -> float:
    """Mutual information by nearest neighbours, nats.

    Reference: Kraskov, Stoegbauer & Grassberger (2004), "Estimating mutual information", eq. 8.
    """
    joint = NearestNeighbors(metric="chebyshev").fit(np.concatenate([x, y], 1))
    radius = np.nextafter(joint.kneighbors(n_neighbors=neighbours)[0][:, -1], 0)
    counts = [_within(side, radius) for side in (x, y)]
    n = len(x)
    return float(digamma(neighbours) + digamma(n) - np.mean(sum(digamma(count) for count in counts)))


def _within(x: Array, radius: Array) -> Array:
    """Rows within the radius of each, itself counted."""
    tree = NearestNeighbors(metric="chebyshev").fit(x)
    return np.array([tree.radius_neighbors(row[None], r, return_distance=False)[0].size for row, r in zip(x, radius)])
