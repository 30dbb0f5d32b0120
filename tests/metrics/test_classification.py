"""Classification figures by hand."""

import pytest
import torch
from helpers.classes import normalized

from contrastive.metrics.classification import classification, reliability


def test_classification_counts_known_labels_alone():
    x, estimator = torch.randn(200, 2, dtype=torch.float64), normalized()
    y = estimator.predict(x)
    y[:50], y[50:60] = -1, (y[50:60] + 1) % 3
    figures = classification(estimator, x, y)
    assert figures["test_error"] == pytest.approx(10 / 150)
    proba = estimator.predict_proba(x).detach()[y >= 0]
    by_hand = -proba[torch.arange(150), y[y >= 0]].log().mean()
    assert figures["test_log_loss"] == pytest.approx(float(by_hand))
    assert classification(estimator, x, torch.full((200,), -1)) == {}


def test_the_calibration_error_by_hand():
    """Two bins: 0.6 said and 1 of 2 right, 0.95 said and 2 of 2 right: (0.1 + 0.05) / 2."""
    proba = torch.tensor([[0.6, 0.4], [0.4, 0.6], [0.95, 0.05], [0.05, 0.95]])
    found = reliability(proba, torch.tensor([0, 0, 0, 1]), bins=10)
    assert found.expected_calibration_error == pytest.approx(0.075)
    assert found.share.tolist() == [0, 0, 0, 0, 0, 0, 0.5, 0, 0, 0.5]
