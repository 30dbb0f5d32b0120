"""The prior probabilities of the classes, validated."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from contrastive.errors import ContrastiveError


def log_class_prior(prior: Sequence[float] | None, num_classes: int | None) -> Float[Tensor, " K"] | None:
    """log pi of each class, scaled to sum to 1; equal shares by default, and None without classes.

    Raises:
        ContrastiveError: if there are no classes to weigh, not one number for each, or one is not positive.
    """
    if num_classes is None:
        if prior is not None:
            raise ContrastiveError("class_prior is for an energy with classes; this one has none")
        return None
    shares = [1.0] * num_classes if prior is None else [float(share) for share in prior]
    if len(shares) != num_classes or not all(0 < share < math.inf for share in shares):
        raise ContrastiveError(f"class_prior must be {num_classes} positive numbers, one a class, got {shares}")
    weights = torch.tensor(shares, dtype=torch.float64)
    return (weights / weights.sum()).log().to(torch.get_default_dtype())


def parse_class_prior(text: str) -> list[float]:
    """Numbers from "0.3, 0.7".

    Raises:
        ContrastiveError: if they are none.
    """
    try:
        return [float(part) for part in text.strip("[]() ").split(",")]
    except ValueError as error:
        raise ContrastiveError(f"class_prior must be numbers separated by commas, got {text!r}") from error
