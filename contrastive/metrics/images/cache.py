"""Summaries of reference images, kept on disk: computed once for a data set and a network."""

import hashlib
import os
import warnings
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from contrastive.io.atomic import write_atomically
from contrastive.metrics.images.embeddings import EmbeddingNetwork
from contrastive.metrics.images.moments import EmbeddingMoments
from contrastive.metrics.images.summary import EmbeddingSummary, subset, summarize

_FORMAT = "contrastive-feature-summary-1"


def default_cache() -> Path:
    """`contrastive/images` in the user's cache, `$XDG_CACHE_HOME` or `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "contrastive" / "images"


def cached_summary(
    images: Tensor | NDArray[np.uint8],
    network: EmbeddingNetwork,
    folder: str | Path,
    *,
    limit: int | None = 50_000,
    progress: bool = False,
) -> EmbeddingSummary:
    """`summarize`, kept in `folder` under a hash of the pixels and of the network's name and version.

    A damaged file is computed anew, with a RuntimeWarning.

    Raises:
        ContrastiveError: as `summarize` does, or if the file cannot be written.
    """
    images = torch.as_tensor(subset(images, limit))
    key = _key(images, network)
    path = Path(folder) / f"{network.name}-{key[:16]}.npz"
    if path.exists():
        try:
            return _read(path, key)
        except Exception as error:  # a damaged zip archive raises nearly anything
            why = " ".join(str(error).split())
            warnings.warn(f"{path} is damaged ({why}): computing it anew", RuntimeWarning, stacklevel=2)
    summary = summarize(images, network, limit=None, progress=progress)
    write_atomically(path, lambda part: _write(part, key, summary))
    return summary


def _key(images: Tensor, network: EmbeddingNetwork) -> str:
    identity = f"{_FORMAT}|{network.name}|{network.version}|{images.dtype}|{tuple(images.shape)}|"
    digest = hashlib.sha256(identity.encode())
    digest.update(images.cpu().contiguous().numpy().data)
    return digest.hexdigest()


def _write(path: Path, key: str, summary: EmbeddingSummary) -> None:
    moments = summary.moments
    with path.open("wb") as handle:  # given a path, numpy would append .npz to it
        np.savez(
            handle,
            key=key,
            count=moments.count,
            mean=moments.mean.numpy(),
            scatter=moments.scatter.numpy(),
            features=summary.embeddings.numpy(),
        )


def _read(path: Path, key: str) -> EmbeddingSummary:
    """The summary; zipfile holds every array against its checksum."""
    with np.load(path, allow_pickle=False) as arrays:
        if str(arrays["key"]) != key:
            raise ValueError("it is of other images")
        mean, scatter, embeddings = (torch.from_numpy(arrays[name]) for name in ("mean", "scatter", "features"))
        return EmbeddingSummary(EmbeddingMoments(int(arrays["count"]), mean, scatter), embeddings)
