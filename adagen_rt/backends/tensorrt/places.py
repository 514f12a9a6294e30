"""Where the plans of an engine lie: beside it, or in a folder that has those of many engines.

A folder of many engines names each after its manifest's hash, so that the plans of another
engine, or of an older one of the same name, are never taken.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from adagen_rt.backends.tensorrt.record import RECORD
from adagen_rt.engine.folder import EngineFolder, is_shipped
from adagen_rt.errors import InputError
from adagen_rt.files import check_writable
from adagen_rt.system import cache_folder

#: The folder of plans, of an engine and of the cache.
PLANS = "plans"
#: Digits of an engine's hash in the name of its folder.
DIGITS = 16


def target_folder(engine: EngineFolder, backend: str, root: Path | None = None) -> Path:
    """Return the folder that plans are built into.

    Args:
        engine: The engine.
        backend: The backend.
        root: A folder with the plans of any number of engines; None takes the engine's own
            folder or, for an engine that came with the package or cannot be written to, the
            user's cache.
    """
    if root is not None:
        return _among_others(root, engine, backend)
    return next(_usual(engine, backend))


def find_folder(engine: EngineFolder, backend: str, root: Path | None = None) -> Path:
    """Return the folder of the plans that are there, or that they would be built into.

    Args:
        engine: The engine.
        backend: The backend.
        root: As for `target_folder`; None looks beside the engine and in the user's cache.

    Raises:
        InputError: ``root`` is no folder.
    """
    if root is not None and not root.is_dir():
        raise InputError("plans", str(root), "a folder that adagen-rt build --out wrote")
    target = target_folder(engine, backend, root)
    places = [target] if root is not None else list(_usual(engine, backend))
    return next((place for place in places if (place / RECORD).is_file()), target)


def check_target_folder(engine: EngineFolder, backend: str, root: Path | None) -> Path:
    """Return `target_folder`, if it can be written.

    Raises:
        InputError: It cannot be.
    """
    folder = target_folder(engine, backend, root)
    check_writable("out", folder if root is None else root, folder=True)
    return folder


def _usual(engine: EngineFolder, backend: str) -> Iterator[Path]:
    """The engine's own folder and the user's cache, first the one that is built into."""
    own = engine.path / PLANS / backend
    kept = _among_others(cache_folder() / PLANS, engine, backend)
    # An installation is the package manager's, even where its files could be written to.
    cached = is_shipped(engine.path) or not os.access(engine.path, os.W_OK)
    yield from (kept, own) if cached else (own, kept)


def _among_others(root: Path, engine: EngineFolder, backend: str) -> Path:
    return root / f"{engine.manifest.name}-{engine.hash[:DIGITS]}" / backend
