"""Figures on light and on dark paper, for pages that follow the reader's setting."""

import base64
import io
from typing import Any, NamedTuple

import numpy as np
from matplotlib.artist import Artist
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.spines import Spine
from matplotlib.text import Text

from contrastive.plots.runs import COLORS

_DPI = 110
_INK, _FAINT, _PAPER = "#e4e4e7", "#71717a", "#18181b"
#: Colours that hardly show on dark paper, and what stands in for them there.
_LIGHTER = {COLORS["data"].lower(): "#bdbdbd", COLORS["energy"].lower(): "#4aa8e8", "#000000": _INK}


class Themed(NamedTuple):
    """A figure as two PNG files in base64, both without a background."""

    light: str
    dark: str


def themed(figure: Figure) -> Themed:
    """Draw a figure for light and for dark paper; it is left in its dark colours."""
    figure.set_facecolor("none")
    for panel in figure.axes:
        if to_hex(panel.get_facecolor()) == "#ffffff":
            panel.set_facecolor("none")
    light = _png(figure)
    darken(figure)
    return Themed(light, _png(figure))


def darken(figure: Figure) -> None:
    """Give a figure the colours of dark paper: text, frames and ticks, and the dark ones of its data."""
    for panel in figure.axes:
        panel.tick_params(which="both", color=_FAINT, labelcolor=_INK)
    for artist in figure.findobj(_is_coloured):
        _recolour(artist)
    for legend in [*figure.legends, *(panel.get_legend() for panel in figure.axes)]:
        if legend is not None:
            legend.get_frame().set_facecolor(_PAPER)


def _is_coloured(artist: Artist) -> bool:
    return isinstance(artist, Text | Spine | Line2D | PathCollection | Patch)


def _recolour(artist: Artist) -> None:
    if isinstance(artist, Text):
        artist.set_color(_lighter(artist.get_color()))
    elif isinstance(artist, Spine):
        artist.set_edgecolor(_FAINT)
    elif isinstance(artist, Line2D):
        artist.set_color(_lighter(artist.get_color()))
    elif isinstance(artist, PathCollection):
        artist.set_facecolor(_lighter_rows(artist.get_facecolor()))
    elif isinstance(artist, Patch) and artist.get_fill():
        artist.set_facecolor(_lighter_rows([artist.get_facecolor()])[0])
    elif isinstance(artist, Patch):
        artist.set_edgecolor(_lighter_rows([artist.get_edgecolor()])[0])


def _lighter(color: Any) -> Any:
    return _LIGHTER.get(to_hex(color).lower(), color)


def _lighter_rows(colors: Any) -> Any:
    """The same for RGBA colours; their opacity is kept."""
    rows = np.array([list(color) for color in colors], dtype=np.float64)
    for row in rows:
        name = to_hex(row[:3]).lower()
        replaced = _LIGHTER.get(name)
        if replaced is not None and name != "#000000":  # black areas, as behind the data, stay black
            row[:3] = to_rgb(replaced)
    return rows


def _png(figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI)
    return base64.b64encode(buffer.getvalue()).decode("ascii")
