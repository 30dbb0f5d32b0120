"""What a user of scikit-learn would reach for with few labels; shared by figure5 and table4."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier

#: Name -> estimator. Settings are scikit-learn's own but where the name says so.
PEERS: dict[str, Callable[[], Any]] = {
    "LabelSpreading, knn": lambda: LabelSpreading(kernel="knn"),
    # As a user would who reads on: the defaults let a label go no further than a few neighbours.
    "LabelSpreading, knn, alpha 0.99": lambda: LabelSpreading(kernel="knn", alpha=0.99, max_iter=3000),
    "LabelSpreading, rbf": lambda: LabelSpreading(kernel="rbf"),
    "SelfTraining, nearest neighbours": lambda: SelfTrainingClassifier(KNeighborsClassifier(1), criterion="k_best"),
    "SelfTraining, logistic regression": lambda: SelfTrainingClassifier(LogisticRegression(max_iter=1000)),
}


def peer_errors(
    x: NDArray[np.float64], y: NDArray[np.int64], test_x: NDArray[np.float64], test_y: NDArray[np.int64]
) -> dict[str, float | None]:
    """Test error of each peer; None where it gives no answer.

    Args:
        x: shape `(n, d)`, labelled rows and unlabelled ones.
        y: classes, -1 for unlabelled.
        test_x: fresh rows.
        test_y: their classes.
    """
    errors: dict[str, float | None] = {}
    for name, make in PEERS.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            warnings.simplefilter("ignore", RuntimeWarning)  # rows far from every label are divided by 0
            warnings.simplefilter("ignore", UserWarning)
            model = make().fit(x, y)
            predicted = model.predict(test_x)
        errors[name] = float(np.mean(predicted != test_y))
    return errors
