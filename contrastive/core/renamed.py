"""Deprecated names of the estimator's members, and of their tensors in checkpoints."""

from typing import Any

from torch import nn

from contrastive.errors import warn_renamed


class RenamedMembers(nn.Module):
    """Members of `Estimator` under the names that they had before; they warn, and go with the next version."""

    def introduce_noise(self: Any) -> None:
        """Deprecated: `update_base_noise`."""
        warn_renamed("ContrastiveEstimator.introduce_noise", "update_base_noise")
        self.update_base_noise()

    def balance(self: Any, z: Any) -> None:
        """Deprecated: `solve_log_normalizer`."""
        warn_renamed("ContrastiveEstimator.balance", "solve_log_normalizer")
        self.solve_log_normalizer(z)

    def contrast_for_energy(self: Any, z: Any, log_q: Any = None) -> Any:
        """Deprecated: `energy_loss`."""
        warn_renamed("ContrastiveEstimator.contrast_for_energy", "energy_loss")
        return self.energy_loss(z, log_q)

    def contrast_through_noise(self: Any, z: Any, *, path_only: bool = False) -> Any:
        """Deprecated: `noise_loss`."""
        warn_renamed("ContrastiveEstimator.contrast_through_noise", "noise_loss")
        return self.noise_loss(z, path_only=path_only)

    @property
    def defence(self) -> Any:
        """Deprecated: `defensive_component`."""
        warn_renamed("ContrastiveEstimator.defence", "defensive_component")
        return self.defensive_component

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "defence":  # nn.Module would keep a module under that name, past the property
            warn_renamed("ContrastiveEstimator.defence", "defensive_component")
            name = "defensive_component"
        super().__setattr__(name, value)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """As `nn.Module`'s; checkpoints of before have the defensive component under `defence`."""
        old, new = f"{prefix}defence.", f"{prefix}defensive_component."
        for key in [key for key in state_dict if key.startswith(old)]:
            state_dict[new + key.removeprefix(old)] = state_dict.pop(key)
        super()._load_from_state_dict(state_dict, prefix, *args)
