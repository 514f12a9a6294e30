"""Features of real sets, kept in the user's cache: computing them takes minutes."""

from __future__ import annotations

import contextlib
import hashlib
import zipfile
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from torch import nn

from adagen_rt.evaluation.data import Images
from adagen_rt.evaluation.folder import FILTER, FolderPixels, TarMember
from adagen_rt.files import replace_file
from adagen_rt.system import cache_folder

Features = npt.NDArray[np.float32]


def kept_features(key: str, compute: Callable[[], Features]) -> Features:
    """Return features (N, D) from the cache, or compute and keep them.

    Args:
        key: Names network, weights and images by fingerprint.
        compute: Computes the features.
    """
    path = cache_folder() / "features" / f"{key}.npz"
    try:
        with np.load(path) as kept:
            features: Features = kept["features"]
            return features
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        pass  # not there, or cut short
    computed = compute()
    with contextlib.suppress(OSError):  # a cache that cannot be written is no cache
        replace_file(path, lambda temporary: np.savez(temporary, features=computed))
    return computed


def fingerprint_weights(network: nn.Module) -> str:
    """Hash a network's weights to twelve hexadecimal digits."""
    digest = hashlib.sha256()
    for _, value in sorted(network.state_dict().items()):
        digest.update(value.cpu().numpy().tobytes())
    return digest.hexdigest()[:12]


def fingerprint_images(real: Images | FolderPixels) -> str:
    """Hash a set of images: their pixels, or of a folder the files' names, sizes and times."""
    if isinstance(real, Images):
        return hashlib.sha256(real.pixels.tobytes()).hexdigest()[:12]
    digest = hashlib.sha256(f"{FILTER} {real.size.plain} {real.channels}".encode())
    # A million images lie in a thousand folders, and to resolve a path takes many system calls.
    files = [path.tar if isinstance(path, TarMember) else path for path in real.paths]
    folders = {folder: folder.resolve() for folder in {file.parent for file in files}}
    for path, file in zip(real.paths, files, strict=True):
        facts, name = file.stat(), folders[file.parent] / file.name
        inside = f" {path.name}" if isinstance(path, TarMember) else ""
        digest.update(f"{name}{inside} {facts.st_size} {facts.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:12]
