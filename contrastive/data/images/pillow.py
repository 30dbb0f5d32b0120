"""Pillow, which reads and writes pictures."""

from contrastive.errors import missing_extra


def require_pillow() -> None:
    """Refuse what reads or writes pictures.

    Raises:
        MissingExtraError: if Pillow is not installed.
    """
    try:
        import PIL.Image  # noqa: F401
    except ImportError as error:
        raise missing_extra("pictures need", "images", error) from error
