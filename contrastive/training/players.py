"""The optimisation of one side, energy or noise: its parameters, optimiser and moving average."""

import math
from collections.abc import Iterable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class Player:
    """Takes the gradient steps of one side, energy or noise.

    Args:
        parameters: to be trained.
        averages: a twin for each parameter, which follows it as an exponential moving average.
        optimizer: "adam", "adamax", or "ngd", normalised gradient descent: every step has the length
            of the learning rate. It crosses the flat regions of `exponential` between distant p and q (Liu et al.
            2021, arXiv 2110.11271, theorem 4.2).
        learning_rate: at the start.
        decay: "cosine" to zero over the run, or "constant".
        ema: decay of the moving average; 0 makes the twin a copy.
        clip_norm: bound on the gradient's norm.
        beta1: of Adam (beta2 is 0.99); the other optimisers have their own. A high one makes two sides that
            are trained against each other oscillate.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        averages: Iterable[nn.Parameter],
        *,
        optimizer: Literal["adam", "adamax", "ngd"] = "adam",
        learning_rate: float = 2e-3,
        decay: Literal["cosine", "constant"] = "cosine",
        ema: float = 0.998,
        clip_norm: float = 10.0,
        beta1: float = 0.9,
    ) -> None:
        self.parameters, self.averages = list(parameters), list(averages)
        self.learning_rate, self.decay, self.ema, self.clip_norm = learning_rate, decay, ema, clip_norm
        self.optimizer: torch.optim.Optimizer
        if optimizer == "adam":
            self.optimizer = torch.optim.Adam(self.parameters, learning_rate, betas=(beta1, 0.99), fused=True)
        elif optimizer == "ngd":
            self.optimizer = torch.optim.SGD(self.parameters, learning_rate, foreach=True)
        else:
            self.optimizer = torch.optim.Adamax(self.parameters, learning_rate, foreach=True)
        self.normalizes = optimizer == "ngd"
        self.updates = self.skipped = self.skipped_in_a_row = 0

    def step(self, loss: Tensor | Iterable[Tensor], progress: float) -> None:
        """One gradient step down `loss`; skipped and counted if the gradient is not finite.

        Args:
            loss: shape `()`; or several to be summed, each computed when the graph of the one before is freed.
            progress: share of the stage that is done, in [0, 1], for the learning rate.
        """
        self.optimizer.zero_grad()
        for part in [loss] if isinstance(loss, Tensor) else loss:
            part.backward(inputs=self.parameters)
        norm = nn.utils.clip_grad_norm_(self.parameters, self.clip_norm, foreach=True)
        if not math.isfinite(norm):
            self.skipped += 1
            self.skipped_in_a_row += 1
            return
        self.skipped_in_a_row = 0
        if self.normalizes and norm > 0:
            for parameter in self.parameters:
                if parameter.grad is not None:
                    parameter.grad.div_(norm.clamp_max(self.clip_norm))
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate * learning_rate_factor(self.decay, progress)
        self.optimizer.step()
        self.updates += 1
        self._average()

    @torch.no_grad()
    def _average(self) -> None:
        # The average of the first steps would remember the start for long: shorten its memory then.
        decay = min(self.ema, (1 + self.updates) / (10 + self.updates)) if self.ema else 0.0
        get_ema_multi_avg_fn(decay)(self.averages, self.parameters, torch.tensor(self.updates))

    @torch.no_grad()
    def adopt_average(self) -> None:
        """Set the parameters to their moving averages."""
        for parameter, average in zip(self.parameters, self.averages):
            parameter.copy_(average)

    def state_dict(self) -> dict[str, Any]:
        """Counters, and the optimiser's tensors under `state.INDEX.NAME`."""
        state = self.optimizer.state_dict()["state"]
        tensors = {f"{i}.{name}": value for i, entries in state.items() for name, value in entries.items()}
        counters = {"updates": self.updates, "skipped": self.skipped, "skipped_in_a_row": self.skipped_in_a_row}
        return {"tensors": tensors, "counters": counters}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`."""
        for name, value in state["counters"].items():
            setattr(self, name, value)
        entries: dict[int, dict[str, Tensor]] = {}
        for key, value in state["tensors"].items():
            index, name = key.split(".")
            like = self.parameters[int(index)]
            # In the parameter's memory format: the fused step reads both as they lie, and would mix up the entries.
            value = torch.empty_like(like).copy_(value) if value.shape == like.shape else value.clone()
            entries.setdefault(int(index), {})[name] = value
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": entries, "param_groups": groups})


def learning_rate_factor(decay: Literal["cosine", "constant"], progress: float) -> float:
    """Factor of the learning rate at `progress` in [0, 1]: 1 for "constant", a half cosine from 1 to 0 for "cosine"."""
    return 1.0 if decay == "constant" else (1 + math.cos(math.pi * min(progress, 1.0))) / 2
