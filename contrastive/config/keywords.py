"""Keywords of `contrastive.fit`, for editors and type checkers; `configure` checks them when it runs."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict


class Keywords(TypedDict, total=False):
    """The everyday settings by their flat names, and the sections for all others.

    `data` being the first argument of `fit`, settings of its section are flat, too.
    """

    columns: str | Sequence[str] | None
    given: Any
    standardize: bool | None
    dequantize: bool | None
    mixed: bool | None
    categorical: str | Sequence[str]
    integer: str | Sequence[str]
    continuous: str | Sequence[str]
    positive: str | Sequence[str]
    bounded: str | Sequence[str]
    circular: str | Sequence[str]
    validation: float | None
    test: float
    label_column: str | None
    weight_column: str | None
    image_size: int | None
    noise: Any
    noise_options: Mapping[str, Any]
    energy: Any
    energy_options: Mapping[str, Any]
    objective: str | Mapping[str, Any]
    objective_options: Mapping[str, Any]
    method: Literal["nce", "fce", "mle"]
    noise_ratio: float
    recipe: Literal["default", "images", "paper"] | None
    steps: int | None
    pretrain_steps: int | None
    batch_size: int | None
    early_stopping: int | None
    budget: float | str
    seed: int
    device: str
    precision: Literal["float32", "bf16"]
    out: str | None
    labels: Mapping[str, Any]
    likelihood: Mapping[str, Any]
    game: Mapping[str, Any]
    run: Mapping[str, Any]
