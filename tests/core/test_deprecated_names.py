"""Names of earlier versions: they warn, and do what the present ones do."""

import pytest
import torch
from torch.distributions import Independent, Normal

from contrastive import ContrastiveEstimator, make_noise

NAMES_OF_BEFORE = {
    "balance": ("solve_log_normalizer", lambda e, z: e.balance(z), lambda e, z: e.solve_log_normalizer(z)),
    "introduce_noise": ("update_base_noise", lambda e, z: e.introduce_noise(), lambda e, z: e.update_base_noise()),
    "contrast_for_energy": (
        "energy_loss",
        lambda e, z: e.contrast_for_energy(z).loss,
        lambda e, z: e.energy_loss(z).loss,
    ),
    "contrast_through_noise": (
        "noise_loss",
        lambda e, z: e.contrast_through_noise(z).value,
        lambda e, z: e.noise_loss(z).value,
    ),
    "defence": ("defensive_component", lambda e, z: e.defence, lambda e, z: e.defensive_component),
    "data_loss": ("data_term", lambda e, z: e.contrast(z).data_loss, lambda e, z: e.contrast(z).data_term),
    "noise_loss": ("noise_term", lambda e, z: e.contrast(z).noise_loss, lambda e, z: e.contrast(z).noise_term),
}


@pytest.mark.parametrize("name", NAMES_OF_BEFORE)
def test_a_name_of_before_warns_and_does_what_the_present_one_does(name):
    present, old, new = NAMES_OF_BEFORE[name]
    z, noise = torch.linspace(-1, 1, 100).reshape(50, 2), Independent(Normal(torch.zeros(2), 1.0), 1)
    estimators = [ContrastiveEstimator(lambda x: -x.square().sum(-1), noise) for _ in range(2)]
    torch.manual_seed(0)
    with pytest.warns(DeprecationWarning, match=rf"{name} is deprecated.*use {present}"):
        of_old = old(estimators[0], z)
    torch.manual_seed(0)
    of_new = new(estimators[1], z)
    assert torch.equal(estimators[0].log_normalizer, estimators[1].log_normalizer)
    assert of_new is of_old is None or torch.equal(of_old, of_new)


def test_the_losses_of_before_make_a_contrast():
    with pytest.warns(DeprecationWarning, match="from_losses"):
        from contrastive.objectives import Losses
    r = torch.arange(3.0)
    assert float(Losses(r, -r, r, 2 * r).loss) == 3.0


def test_a_defence_of_before_is_the_defensive_component():
    noise, wide = (Independent(Normal(torch.zeros(2), scale), 1) for scale in (1.0, 3.0))
    with pytest.warns(DeprecationWarning, match="use defensive_component"):
        estimator = ContrastiveEstimator(lambda x: -x.square().sum(-1), noise, defence=wide)
    assert estimator.defensive_component is wide
    module = make_noise("gaussian", event_shape=(2,), loc=0.0)
    with pytest.warns(DeprecationWarning, match="use defensive_component"):
        estimator.defence = module
    assert estimator.defensive_component is module
    assert not any(name.startswith("defence") for name in estimator.state_dict())
