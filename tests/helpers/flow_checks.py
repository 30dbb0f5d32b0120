"""What the plugins' tests of flows share: randomised parameters, the full Jacobian, quadrature in 2-D."""

import torch


@torch.no_grad()
def randomize(module, scale):
    """Move parameters away from the identity, where a fresh flow hides its mistakes."""
    for parameter in module.parameters():
        parameter.add_(scale * torch.randn_like(parameter))
    return module


def assert_log_det_is_the_jacobians(mapping, points, tolerance=1e-7):
    """Each log-determinant of `mapping` is the slogdet of autograd's full Jacobian."""
    _, log_det = mapping(points)
    assert log_det.shape == (len(points),)
    for i, point in enumerate(points):
        jacobian = torch.autograd.functional.jacobian(lambda row: mapping(row[None])[0][0], point)
        matrix = jacobian.reshape(point.numel(), point.numel())
        torch.testing.assert_close(matrix.slogdet()[1], log_det[i], rtol=tolerance, atol=tolerance)


def assert_inverse(forward, backward, points, tolerance=1e-7):
    """`backward` undoes `forward`, and their log-determinants cancel."""
    y, there = forward(points)
    again, back = backward(y)
    torch.testing.assert_close(again, points, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(there, -back, rtol=tolerance, atol=tolerance)


@torch.no_grad()
def total_mass(noise, side=1500, margin=3.0):
    """The integral of q over the plane, by a grid around 20,000 draws."""
    x = noise.sample((20_000,))
    low, high = x.amin(0) - margin, x.amax(0) + margin
    lines = [torch.linspace(float(a), float(b), side, dtype=x.dtype) for a, b in zip(low, high)]
    cell = float((lines[0][1] - lines[0][0]) * (lines[1][1] - lines[1][0]))
    parts = torch.cartesian_prod(*lines).split(100_000)
    return sum(float(noise.log_prob(part).exp().sum()) for part in parts) * cell
