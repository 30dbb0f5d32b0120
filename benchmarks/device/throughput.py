"""How fast the flow learns in several precisions and memory formats, and what rounding does to log q."""

from collections.abc import Callable
from typing import Any

import torch
from flows import pace
from torch import Tensor

from contrastive.estimator import ContrastiveEstimator
from contrastive.training.execution import autocast
from contrastive.training.prepared import Prepared

#: Precision, TF32 convolutions, channels last, compiled. The compiled one takes the format that was faster without.
MODES = {
    "float32": ("float32", False, False, False),
    "float32, TF32": ("float32", True, False, False),
    "bf16": ("bf16", True, False, False),
    "bf16, channels last": ("bf16", True, True, False),
    "bf16, compiled": ("bf16", True, None, True),
}
_COMPILING = 150.0  # seconds at most


def throughput_table(
    fields_in: Callable[[dict[str, Any]], dict[str, Any]],
    data: Prepared,
    *,
    updates: int,
    compiled: bool,
    left: Callable[[], float],
) -> dict[str, Any]:
    """Updates by likelihood in each mode: images a second, peak memory; and the fastest mode.

    Args:
        fields_in: fields of `FitConfig` in a mode.
        data: ready to train on.
        updates: that are timed.
        compiled: whether to try `torch.compile`.
        left: seconds that are left for everything.
    """
    modes: dict[str, Any] = {}
    fastest, best = float("inf"), {"precision": "float32", "channels_last": False, "compile": False}
    for name, (precision, tf32, channels_last, compiling) in MODES.items():
        if compiling and not compiled:
            continue
        last = best["channels_last"] if channels_last is None else channels_last
        most = min(_COMPILING if compiling else 60.0, 0.5 * left())
        allow_tf32(tf32)
        try:
            fields = fields_in({"precision": precision, "compile": compiling})
            modes[name] = pace(fields, data, channels_last=last, updates=updates, most_seconds=most)
        except (Exception, KeyboardInterrupt) as error:
            modes[name] = {"failed": f"{type(error).__name__}: {error}"[:2000]}
            print(f"{name}: {modes[name]}", flush=True)
            continue
        finally:
            allow_tf32(True)
        modes[name] |= {"channels_last": last}
        print(f"{name:22} {modes[name]['images_a_second']:8.0f} images/s  {modes[name]}", flush=True)
        if modes[name]["seconds_an_update"] < fastest:
            fastest = modes[name]["seconds_an_update"]
            best = {"precision": precision, "channels_last": last, "compile": compiling}
    return {"modes": modes, "best": best, "pace": fastest}


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
    kinds = {"bf16": ("bf16", True), "tf32": ("float32", True), "tf32_products_too": ("float32", True, True)}
    for name, rounded in {name: log_q(*kind) for name, kind in kinds.items()}.items():
        gap = (rounded - exact).abs()
        found[f"largest_gap_{name}"] = float(gap.max()) / dimensions
        found[f"root_mean_square_gap_{name}"] = float(gap.square().mean().sqrt()) / dimensions
    return found
