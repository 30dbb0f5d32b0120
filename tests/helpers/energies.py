"""Energies away from their initial parameters."""

import torch

from contrastive import make_energy, make_noise
from contrastive.energies.built_on_noise import BuiltOnNoise


def randomized(name, event_shape, **options):
    """An energy in float64, every parameter moved away from where it starts."""
    energy = make_energy(name, event_shape=event_shape, **options).double()
    with torch.no_grad():
        for parameter in energy.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    if isinstance(energy, BuiltOnNoise):
        energy.start_from(make_noise("gaussian", event_shape=event_shape, loc=float(torch.randn(()))).double())
    return energy
