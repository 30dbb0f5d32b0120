"""Standardisation: precise at large offsets, and its log-determinant."""

import torch

from contrastive.data.scaling import Scaling


def test_scaling_survives_large_offsets_in_float64():
    x = 1e7 + torch.randn(1000, 2, dtype=torch.float64)
    scaling = Scaling.standardize(x)
    assert scaling(x).dtype == torch.float32
    torch.testing.assert_close(scaling(x).std(0, correction=0), torch.ones(2))
    torch.testing.assert_close(scaling.inverse(scaling(x)), x, rtol=0, atol=1e-6)
    assert scaling.to(torch.float32).shift.dtype == torch.float64


def test_scalings_log_det_is_autograds():
    scaling = Scaling(torch.tensor([1.0, 2.0]), torch.tensor([0.1, 30.0]))
    jacobian = torch.autograd.functional.jacobian(scaling, torch.zeros(2, dtype=torch.float64))
    torch.testing.assert_close(jacobian.double().slogdet()[1], scaling.log_det(torch.zeros(1, 2)))
