"""What a recipe sets where the user says nothing; docs/explanation/recipes.md has what was measured."""

from typing import Any

#: What `recipe` fills in. Each value of "default" is the one that measured best (docs/explanation/recipes.md).
RECIPES: dict[str, dict[str, Any]] = {
    "default": {
        "game.energy.optimizer": "adam",
        "game.energy.learning_rate": 4e-3,
        "game.noise.optimizer": "adam",
        "game.noise.learning_rate": 1e-3,
        "game.noise.likelihood_weight": 1.0,
        "likelihood.learning_rate": 1e-3,
        "game.beta1": 0.9,
        "game.decay": "cosine",
        "game.energy.ema": 0.998,
        "game.noise.ema": 0.998,
        "game.clip_norm": 10.0,
        "game.schedule.name": "gate",
        "game.schedule.energy_updates": 5,
        "game.schedule.accuracy": 0.62,
        "game.schedule.max_noise_steps": 20,
        "game.schedule.min_energy_steps": 40,
        "game.noise.freeze_after": 0.3,
        "game.noise.gradient": "full",
        "game.noise.loss": "value",
        "game.energy.gradient_penalty": 0.0,
    },
    # docs/explanation/fce-on-images.md has the figures.
    "images": {
        "game.energy.optimizer": "adam",
        "game.energy.learning_rate": 1e-3,
        "game.noise.optimizer": "adam",
        "game.noise.likelihood_weight": 4e-3,
        "likelihood.learning_rate": 1e-3,
        "game.beta1": 0.5,
        "game.decay": "cosine",
        "game.energy.ema": 0.99,
        "game.noise.ema": 0.99,
        "game.clip_norm": 100.0,
        "game.schedule.name": "alternate",
        "game.schedule.energy_updates": 1,
        "game.schedule.accuracy": 0.75,
        "game.schedule.max_noise_steps": 1,
        "game.schedule.min_energy_steps": 2,
        "game.noise.freeze_after": 1.0,
        "game.noise.gradient": "path",
        "game.noise.loss": "non-saturating",
    },
    # Gao et al. (2020), section 4 and tables 5 and 7. Its gate, at 0.5, rarely lets the energy move
    # (docs/explanation/recipes.md).
    "paper": {
        "game.energy.optimizer": "adam",
        "game.energy.learning_rate": 3e-4,
        "game.noise.optimizer": "adamax",
        "game.noise.learning_rate": 1e-5,
        "game.noise.likelihood_weight": 0.0,
        "likelihood.learning_rate": 1e-3,
        "game.beta1": 0.9,
        "game.decay": "constant",
        "game.energy.ema": 0.0,
        "game.noise.ema": 0.0,
        "game.clip_norm": 100.0,
        "game.schedule.name": "gate",
        "game.schedule.energy_updates": 5,
        "game.schedule.accuracy": 0.5,
        "game.schedule.max_noise_steps": 1_000_000,
        "game.schedule.min_energy_steps": 1,
        "game.noise.freeze_after": 1.0,
        "game.noise.gradient": "full",
        "game.noise.loss": "value",
        "game.energy.gradient_penalty": 0.0,
    },
}

#: What a recipe sets among an energy's options, by the energy's name; what is told prevails.
ENERGY_OPTIONS: dict[str, dict[str, dict[str, Any]]] = {
    "default": {},
    "images": {"conv": {"detail": 16.0}},
    "paper": {"mlp": {"activation": "leaky-relu"}},
}

#: What the recipe of images leaves to the energy: one that is built on log q, or a plain one. Until a plain f has
#: learned log q, the log-ratio is as steep as log q is, thousands a unit: a penalty on that leaves nothing else to
#: learn, and as the noise's guide it misleads.
IMAGES_ON_LOG_Q: dict[str, Any] = {"game.energy.gradient_penalty": 0.25, "game.noise.learning_rate": 2e-3}
IMAGES_PLAIN: dict[str, Any] = {"game.energy.gradient_penalty": 0.0, "game.noise.learning_rate": 5e-4}
