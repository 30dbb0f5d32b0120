"""What a recipe sets where the user says nothing; docs/explanation/recipes.md has what was measured."""

from typing import Any

from contrastive.config.parsing import Options

#: What `recipe` fills in. Each value of "default" is the one that measured best (docs/explanation/recipes.md).
RECIPES: dict[str, dict[str, Any]] = {
    "default": {
        "optimizer": "adam",
        "learning_rate": 4e-3,
        "noise_optimizer": "adam",
        "noise_learning_rate": 1e-3,
        "noise_likelihood_weight": 1.0,
        "pretrain_learning_rate": 1e-3,
        "momentum": 0.9,
        "decay": "cosine",
        "ema": 0.998,
        "noise_ema": 0.998,
        "clip_norm": 10.0,
        "schedule": "gate",
        "energy_updates": 5,
        "gate_accuracy": 0.62,
        "max_noise_run": 20,
        "min_energy_run": 40,
        "hold_noise_after": 0.3,
        "noise_gradient": "full",
        "noise_loss": "value",
        "gradient_penalty": 0.0,
    },
    # docs/explanation/fce-on-images.md has the figures.
    "images": {
        "optimizer": "adam",
        "learning_rate": 1e-3,
        "noise_optimizer": "adam",
        "noise_likelihood_weight": 4e-3,
        "pretrain_learning_rate": 1e-3,
        "momentum": 0.5,
        "decay": "cosine",
        "ema": 0.99,
        "noise_ema": 0.99,
        "clip_norm": 100.0,
        "schedule": "alternate",
        "energy_updates": 1,
        "gate_accuracy": 0.75,
        "max_noise_run": 1,
        "min_energy_run": 2,
        "hold_noise_after": 1.0,
        "noise_gradient": "path",
        "noise_loss": "non-saturating",
    },
    # Gao et al. (2020), section 4 and tables 5 and 7. Its gate, at 0.5, rarely lets the energy move
    # (docs/explanation/recipes.md).
    "paper": {
        "optimizer": "adam",
        "learning_rate": 3e-4,
        "noise_optimizer": "adamax",
        "noise_learning_rate": 1e-5,
        "noise_likelihood_weight": 0.0,
        "pretrain_learning_rate": 1e-3,
        "momentum": 0.9,
        "decay": "constant",
        "ema": 0.0,
        "noise_ema": 0.0,
        "clip_norm": 100.0,
        "schedule": "gate",
        "energy_updates": 5,
        "gate_accuracy": 0.5,
        "max_noise_run": 1_000_000,
        "min_energy_run": 1,
        "hold_noise_after": 1.0,
        "noise_gradient": "full",
        "noise_loss": "value",
        "gradient_penalty": 0.0,
    },
}

#: What a recipe sets among an energy's options, by the energy's name; what is told prevails.
ENERGY_OPTIONS: dict[str, dict[str, Options]] = {
    "default": {},
    "images": {"conv": {"detail": 16.0}},
    "paper": {"mlp": {"activation": "leaky-relu"}},
}

#: What the recipe of images leaves to the energy: one that is built on log q, or a plain one. Until a plain f has
#: learned log q, the log-ratio is as steep as log q is, thousands a unit: a penalty on that leaves nothing else to
#: learn, and as the noise's guide it misleads.
IMAGES_ON_LOG_Q: dict[str, Any] = {"gradient_penalty": 0.25, "noise_learning_rate": 2e-3}
IMAGES_PLAIN: dict[str, Any] = {"gradient_penalty": 0.0, "noise_learning_rate": 5e-4}
