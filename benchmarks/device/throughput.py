"""How fast the flow learns in several precisions and memory formats, and what rounding does to log q."""

import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from benchmarks.device.flows import Mode, pace
from contrastive import ContrastiveEstimator
from contrastive.data.preparation import Prepared
from contrastive.training.execution import autocast

#: What is timed. The compiled one takes the memory format that was faster without.
MODES = {
    "float32": Mode(tf32=False),
    "float32, TF32": Mode(),
    "bf16": Mode("bf16"),
    "bf16, channels last": Mode("bf16", channels_last=True),
    "bf16, compiled": Mode("bf16", channels_last=None, compile=True),
    "bf16, CUDA graphs": Mode("bf16", graphs=True),
    "bf16, channels last, CUDA graphs": Mode("bf16", channels_last=True, graphs=True),
}
_COMPILING = 150.0  # seconds at most


def throughput_table(
    fields_in: Callable[[Mode], dict[str, Any]],
    data: Prepared,
    names: Sequence[str],
    *,
    updates: int,
    left: Callable[[], float],
) -> dict[str, Any]:
    """Updates by likelihood in each mode: images a second, peak memory; and the fastest mode.

    Args:
        fields_in: fields of `FitConfig` in a mode.
        data: ready to train on.
        names: of the modes.
        updates: that are timed.
        left: seconds that are left for everything.
    """
    found: dict[str, Any] = {}
    fastest, best = float("inf"), Mode()
    for name in names:
        mode = MODES[name]
        if mode.channels_last is None:
            mode = replace(mode, channels_last=best.channels_last)
        allow_tf32(mode.tf32)
        try:
            most = min(_COMPILING if mode.compile else 60.0, 0.5 * left())
            found[name] = pace(fields_in(mode), data, mode=mode, updates=updates, most_seconds=most)
        except (Exception, KeyboardInterrupt) as error:
            found[name] = {"failed": f"{type(error).__name__}: {error}"[:2000]}
            print(f"{name}: {traceback.format_exc()}", flush=True)
            continue
        finally:
            allow_tf32(True)
        found[name]["channels_last"] = mode.channels_last
        print(f"{name:34} {found[name]['images_a_second']:8.0f} images/s  {found[name]}", flush=True)
        if found[name]["seconds_an_update"] < fastest:
            fastest, best = found[name]["seconds_an_update"], mode
    return {"modes": found, "best": vars(best), "pace": fastest if found else None}


def allow_tf32(convolutions: bool, products: bool = False) -> None:
    """Let float32 convolutions be rounded to TF32, which is torch's default, and products of matrices, which is not.

    A flow's networks are convolutions. Its 1x1 convolutions are products, and part of the map whose log-determinant is
    counted.
    """
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = convolutions, products


@torch.no_grad()
def precision_gaps(estimator: ContrastiveEstimator, x: Tensor) -> dict[str, Any]:
    """What bfloat16 networks and TF32 change in log q, nats a dimension, beside float32 throughout."""
    device = estimator.log_normalizer.device
    dimensions = x[0].numel()

    def log_q(precision: str, convolutions: bool, products: bool = False) -> Tensor:
        allow_tf32(convolutions, products)
        try:
            with autocast(precision, device):
                return estimator.noise_log_prob(x).double()
        finally:
            allow_tf32(True)

    exact = log_q("float32", False)
    found: dict[str, Any] = {"images": len(x), "standard_deviation_of_log_q": float(exact.std())}
    kinds = {"bf16": ("bf16", False), "tf32": ("float32", False), "tf32_products_too": ("float32", True)}
    for name, (precision, products) in kinds.items():
        rounded = log_q(precision, True, products)
        gap = (rounded - exact).abs()
        found[f"largest_gap_{name}"] = float(gap.max()) / dimensions
        found[f"root_mean_square_gap_{name}"] = float(gap.square().mean().sqrt()) / dimensions
    return found
