"""Features of real sets, kept in the user's cache: computing them takes minutes."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import nn

from adagen_rt.evaluation.data import Images
from adagen_rt.evaluation.folder import FILTER, FolderPixels, TarMember
from adagen_rt.files import replace_file
from adagen_rt.progress import bar
from adagen_rt.system import cache_folder

Features = npt.NDArray[np.float32]
#: Images whose features are kept together: what is lost at most when a process ends.
PART = 500


def kept_features(key: str, count: int, compute: Callable[[range], Features]) -> Features:
    """Return features (N, D) from the cache; what is not there is computed and kept part by part.

    Args:
        key: Names network, weights and images by fingerprint.
        count: Number of images.
        compute: Computes the features of the images with these numbers.
    """
    folder = cache_folder() / "features" / key
    parts = [range(first, min(first + PART, count)) for first in range(0, count, PART)]
    watched = bar(parts, desc=f"{count} real images", leave=False)
    return np.concatenate([_part(folder / f"{part.start}.npy", part, compute) for part in watched])


def _part(path: Path, part: range, compute: Callable[[range], Features]) -> Features:
    try:
        kept: Features = np.load(path)
        if len(kept) == len(part):
            return kept
    except (OSError, EOFError, ValueError):
        pass  # not there, or cut short
    computed = compute(part)
    with contextlib.suppress(OSError):  # a cache that cannot be written is no cache
        replace_file(path, lambda temporary: np.save(temporary, computed))
    return computed


def fingerprint_weights(network: nn.Module) -> str:
    """Hash a network's weights to twelve hexadecimal digits."""
    digest = hashlib.sha256()
    for _, value in sorted(network.state_dict().items()):
        digest.update(value.cpu().numpy().tobytes())
    return digest.hexdigest()[:12]


def fingerprint_pixels(pixels: npt.NDArray[np.uint8]) -> str:
    """Hash bytes of images."""
    return hashlib.sha256(np.ascontiguousarray(pixels).data).hexdigest()[:12]


def fingerprint_images(real: Images | FolderPixels) -> str:
    """Hash a set of images: their pixels, or of a folder the files' names, sizes and times."""
    if isinstance(real, Images):
        return fingerprint_pixels(real.pixels)
    digest = hashlib.sha256(f"{FILTER} {real.size.plain} {real.channels}".encode())
    # A million images lie in a thousand folders, and to resolve a path takes many system calls.
    files = [path.tar if isinstance(path, TarMember) else path for path in real.paths]
    folders = {folder: folder.resolve() for folder in {file.parent for file in files}}
    for path, file in zip(real.paths, files, strict=True):
        facts, name = file.stat(), folders[file.parent] / file.name
        inside = f" {path.name}" if isinstance(path, TarMember) else ""
        digest.update(f"{name}{inside} {facts.st_size} {facts.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:12]
