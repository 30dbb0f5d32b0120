"""Activations of an energy's layers as features for another model.

Embeddings of images by networks trained elsewhere, which measure distances between sets of images, are in
`contrastive.metrics.images.embeddings`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from contrastive.core.estimator import Estimator
from contrastive.data.images import PixelScaling, cell_centres
from contrastive.data.points import Rows
from contrastive.data.scaling import Coordinates
from contrastive.errors import ContrastiveError, did_you_mean
from contrastive.numerics.chunks import rows_at_once
from contrastive.protocols import EnergyModel, feature_layers

_ROWS = 500  # at once

#: How many of the hidden layers, counted from the top, and the grid that their maps are pooled to.
PRESETS: dict[str, tuple[int, int | None]] = {"top": (1, None), "dcgan": (3, 4)}


@dataclass(frozen=True)
class Features:
    """Activations of some layers, side by side.

    Attributes:
        values: float32, on the CPU, in the order of the rows that were given.
        layers: dotted names, in the order of the columns.
        sizes: how many columns each layer has.
    """

    values: Float[Tensor, "n features"]
    layers: tuple[str, ...]
    sizes: tuple[int, ...]


def extract_features(
    estimator: Estimator,
    x: Rows,
    layers: str | Sequence[str] = "top",
    *,
    pool: int | None = None,
    batch_size: int | None = None,
) -> Features:
    """Activations of chosen layers of the estimator's energy, flattened and concatenated.

    | `layers` | what |
    |---|---|
    | `"top"` | the last hidden layer, after its activation |
    | `"dcgan"` | the last three hidden layers, after their activations, each map max-pooled to a 4 x 4 grid |
    | names | these modules of the energy, as in `energy.named_modules()`, in the order given |

    "dcgan" is the protocol of Radford et al. (2016), "Unsupervised representation learning with deep convolutional
    GANs", section 5.1, which Gao et al. (2020) take over for their table 3. The grid makes 16 numbers of each channel,
    so the energy `conv` gives 16 (64 + 128 + 256) = 7,168 of them at its default widths. The 14,336 that Gao et al.
    name are 16 (128 + 256 + 512): the widths of three layers twice as wide, `widths=(128, 256, 512)`.

    The energy is run in evaluation mode (no dropout, fixed normalisation), without a graph, and left as it was.

    Args:
        estimator: its scaling maps `x` to model coordinates.
        x: rows in original units, as `fit` takes them. Images of uint8, as they are on disk, are taken at the
            middle of each pixel's cell, k + 1/2, where training adds a random number in [0, 1).
        layers: a preset, a name, or several names.
        pool: side of the grid that maps `(channels, height, width)` are max-pooled to; maps that are smaller stay as
            they are. None keeps every position, but for "dcgan", which pools to 4.
        batch_size: rows at once (default: 500, fewer of large events).

    Raises:
        ContrastiveError: for a layer that the energy does not have, or whose output is no tensor with a row a point.

    Example:
        >>> from contrastive import ContrastiveEstimator, make_energy, make_noise
        >>> energy = make_energy("mlp", event_shape=(2,), widths=(8, 16))
        >>> estimator = ContrastiveEstimator(energy, make_noise("gaussian", event_shape=(2,)))
        >>> extract_features(estimator, torch.zeros(5, 2)).values.shape
        torch.Size([5, 16])
    """
    x = x if isinstance(x, Tensor) else estimator.points(x)
    energy = _module(estimator.energy)
    names, grid = chosen_layers(energy, layers)
    grid = grid if pool is None else pool
    batch_size = rows_at_once(tuple(x.shape[1:]), _ROWS) if batch_size is None else batch_size
    if batch_size < 1 or (grid is not None and grid < 1):
        raise ContrastiveError(f"batch_size and pool must be at least 1, got {batch_size} and {grid}")
    if len(x) == 0:
        raise ContrastiveError("there are no rows to compute features of")
    values: Tensor | None = None
    sizes: tuple[int, ...] = ()
    with torch.no_grad(), _evaluating(energy), _Recorder(energy, names) as recorder:
        for start in range(0, len(x), batch_size):
            z = estimator.model_coordinates(_real(x[start : start + batch_size], estimator.scaling))
            energy(z)
            parts = [_row_vectors(name, recorder.take(name), len(z), grid) for name in names]
            if values is None:
                sizes = tuple(part.shape[1] for part in parts)
                values = torch.empty(len(x), sum(sizes))  # at once: a final torch.cat would hold everything twice
            values[start : start + len(z)] = torch.cat(parts, dim=1).float().cpu()
    assert values is not None
    return Features(values, tuple(names), sizes)


def chosen_layers(energy: nn.Module, layers: str | Sequence[str]) -> tuple[list[str], int | None]:
    """The module names that `layers` stands for, and the grid of the preset.

    Raises:
        ContrastiveError: for an unknown name, none or a repeated one, or a preset of an energy without enough hidden
            layers.
    """
    if isinstance(layers, str) and layers in PRESETS:
        count, grid = PRESETS[layers]
        return _from_the_top(energy, layers, count), grid
    names = [layers] if isinstance(layers, str) else list(layers)
    known = named_layers(energy)
    for name in names:
        if name not in known:
            near = did_you_mean(name, known) if len(known) > 40 else f"it has {_listed(known)}"
            raise ContrastiveError(f"{type(energy).__name__} has no layer {name!r}; {near}; presets: {_PRESET_NAMES}")
    if not names or len(set(names)) < len(names):
        raise ContrastiveError(f"layers must be different names, and one at least, got {names}")
    return names, None


def named_layers(energy: EnergyModel) -> dict[str, str]:
    """Every module of the energy by its dotted name, with its class.

    Raises:
        ContrastiveError: if the energy is no torch module.
    """
    return {name: type(module).__name__ for name, module in _module(energy).named_modules() if name}


def _module(energy: EnergyModel) -> nn.Module:
    if not isinstance(energy, nn.Module):
        raise ContrastiveError(f"{type(energy).__name__} is no torch module, so it has no layers to look at")
    return energy


_PRESET_NAMES = ", ".join(PRESETS)


def _from_the_top(energy: nn.Module, preset: str, count: int) -> list[str]:
    hidden = feature_layers(energy)
    if len(hidden) >= count:
        return hidden[-count:]
    own = type(energy).__name__
    names = _listed(named_layers(energy))
    why = f"needs {count} hidden layers, {own} has {len(hidden)}" if hidden else f"is not known for {own}"
    raise ContrastiveError(f"the preset {preset!r} {why}; name layers yourself: it has {names}")


def _listed(known: dict[str, str]) -> str:
    return ", ".join(f"{name} ({kind})" for name, kind in known.items()) if known else "none"


def _real(x: Tensor, scaling: Coordinates) -> Tensor:
    return cell_centres(x, scaling.bits) if x.dtype == torch.uint8 and isinstance(scaling, PixelScaling) else x


def _row_vectors(name: str, output: Tensor, rows: int, grid: int | None) -> Tensor:
    if output.ndim == 0 or len(output) != rows:
        raise ContrastiveError(
            f"the layer {name!r} gave shape {tuple(output.shape)} for {rows} points: not a row for each"
        )
    if grid is not None and output.ndim == 4:
        height, width = output.shape[2:]
        output = nn.functional.adaptive_max_pool2d(output, (min(grid, height), min(grid, width)))
    return output.reshape(rows, -1)


@dataclass
class _Recorder:
    """Keeps what named modules give while the energy runs."""

    energy: nn.Module
    names: Sequence[str]
    outputs: dict[str, list[object]] = field(default_factory=dict)
    handles: list[torch.utils.hooks.RemovableHandle] = field(default_factory=list)

    def __enter__(self) -> "_Recorder":
        for name in self.names:
            self.handles.append(self.energy.get_submodule(name).register_forward_hook(self._hook(name)))
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self.handles:
            handle.remove()

    def _hook(self, name: str):  # type: ignore[no-untyped-def]
        def keep(module: nn.Module, inputs: object, output: object) -> None:
            # A copy: an activation in place would change what the layer before it gave.
            self.outputs.setdefault(name, []).append(output.clone() if isinstance(output, Tensor) else output)

        return keep

    def take(self, name: str) -> Tensor:
        """What the module gave in the one call of the energy."""
        outputs = self.outputs.pop(name, [])
        if len(outputs) != 1 or not isinstance(outputs[0], Tensor):
            what = f"ran {len(outputs)} times" if len(outputs) != 1 else f"gave a {type(outputs[0]).__name__}"
            raise ContrastiveError(f"the layer {name!r} {what} in one call of the energy, expected one tensor")
        return outputs[0]


@contextmanager
def _evaluating(energy: nn.Module) -> Iterator[None]:
    modes = {module: module.training for module in energy.modules()}
    energy.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
