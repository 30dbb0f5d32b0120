"""Classifier two-sample test (C2ST): how well a classifier tells two samples apart, 0.5 if not at all, 1 if always.

As Lueckmann et al. (2021) use it: scikit-learn's multilayer perceptron with two hidden layers of ten units a dimension,
its mean accuracy over five folds, both samples standardised by the first. The references are Friedman (2004) and
Lopez-Paz & Oquab (2017), "Revisiting classifier two-sample tests".
"""

import warnings

import numpy as np
from jaxtyping import Float
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import KFold, cross_val_score
from sklearn.neural_network import MLPClassifier
from torch import Tensor

from contrastive.errors import ContrastiveError

_UNITS, _FOLDS = 10, 5
_MOST_EPOCHS = 10_000  # training mostly ends before, when its loss falls no more


def c2st(
    reference: Float[Tensor, "n d"],
    samples: Float[Tensor, "m d"],
    *,
    most: int | None = None,
    seed: int = 1,
) -> float:
    """Held-out accuracy of a classifier between `reference` and `samples`.

    Fewer rows than the default's make the classifier weaker, and the figure as a rule smaller: compare it only with
    those of as many.

    Args:
        reference: draws of the truth; they set the scale.
        samples: draws to be judged, as many of them, or chance is no longer 0.5.
        most: most rows of each, at random: those of a Markov chain depend on their neighbours; None: all.
        seed: of the folds and of the classifier.

    Raises:
        ContrastiveError: if the two have different shapes, or a value is not finite.
    """
    if reference.shape != samples.shape:
        raise ContrastiveError(f"samples of shape {tuple(samples.shape)} beside {tuple(reference.shape)}")
    if not (reference.isfinite().all() and samples.isfinite().all()):
        raise ContrastiveError("a sample is not finite")
    mean, std = reference.mean(0), reference.std(0)
    order = np.random.default_rng(seed).permutation(len(reference))[:most]
    rows = np.concatenate([((part - mean) / std).numpy()[order] for part in (reference, samples)])
    labels = np.repeat([0.0, 1.0], len(rows) // 2)
    width = _UNITS * reference.shape[1]
    classifier = MLPClassifier(hidden_layer_sizes=(width, width), max_iter=_MOST_EPOCHS, random_state=seed)
    folds = KFold(_FOLDS, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return float(cross_val_score(classifier, rows, labels, cv=folds).mean())
