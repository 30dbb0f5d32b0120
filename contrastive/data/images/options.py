"""Options for reading images: size, crop, colour."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class ImageOptions:
    """How images are read.

    Attributes:
        root: folder of the named sets.
        name: of the array in an .npz file that holds several.
        size: height and width; None leaves images as they are.
        crop: "center" cuts the largest centred square before a picture that is not square is brought to `size`;
            "none" squeezes it.
        color: "rgb" or "gray"; None is what the pictures have.
        progress: show how far it is.
    """

    root: Path = Path("data")
    name: str | None = None
    size: int | None = None
    crop: Literal["center", "none"] = "center"
    color: Literal["rgb", "gray"] | None = None
    progress: bool = False
