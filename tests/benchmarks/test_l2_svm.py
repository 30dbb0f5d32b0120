"""The benchmarks' support vector machine beside scikit-learn's."""

import numpy as np
import pytest
from sklearn.svm import LinearSVC

from benchmarks.lib.l2_svm import choose_l2_svm, fit_l2_svm


def blobs(n, d, seed=0, spread=2.0):
    random = np.random.default_rng(seed)
    y = random.integers(0, 3, n)
    return spread * random.normal(size=(n, d)) + 2 * np.eye(3, d)[y] + 5, y


@pytest.mark.parametrize(("n", "d"), [(200, 10), (40, 90)])
@pytest.mark.parametrize("C", [1e-3, 0.1])
def test_minimum_is_that_of_scikit_learn(n, d, C):
    x, y = blobs(n, d)
    ours = fit_l2_svm(x, y, C, iterations=3000, tolerance=1e-7)
    theirs = LinearSVC(C=C, tol=1e-8, max_iter=100_000).fit((x - ours.mean) / ours.scale, y)
    np.testing.assert_allclose(ours.weights.T, theirs.coef_, atol=1e-3)
    np.testing.assert_allclose(ours.intercepts, theirs.intercept_, atol=1e-3)
    assert (ours.predict(x) == theirs.predict((x - ours.mean) / ours.scale)).mean() > 0.99


def test_default_tolerance_predicts_the_same():
    x, y = blobs(300, 20)
    fine, coarse = fit_l2_svm(x, y, 0.01, iterations=3000, tolerance=1e-7), fit_l2_svm(x, y, 0.01)
    assert (fine.predict(x) == coarse.predict(x)).mean() > 0.99


def test_constant_feature_and_unseen_class():
    x, y = blobs(100, 5)
    x[:, 3] = 7.0
    machine = fit_l2_svm(x, np.where(y == 2, 1, y), 0.1)
    assert set(machine.predict(x)) <= {0, 1}
    assert np.isfinite(machine.weights).all()


def test_cross_validation_finds_the_better_weight():
    """All features share a large noise: only a C that lets their differences count can tell the classes."""

    def drawn(n, seed):
        x, y = blobs(n, 10, seed, spread=0.3)
        return x + 30 * np.random.default_rng(10 + seed).normal(size=(n, 1)), y

    (x, y), (x_new, y_new) = drawn(90, 0), drawn(2000, 1)
    errors = {C: fit_l2_svm(x, y, C).error(x_new, y_new) for C in (1e-9, 1e3)}
    assert errors[1e3] < errors[1e-9] - 0.2
    assert choose_l2_svm(x, y, grid=(1e-9, 1e3)).C == 1e3
