"""Kernels that TensorRT for RTX compiled for this machine's GPU, kept for the next process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from adagen_rt.files import read_hashed, write_hashed


class JitCache:
    """One cache for all plans of an engine, in a file.

    A damaged file is ignored. TensorRT itself checks that the kernels fit the GPU, its driver and
    the module, and compiles them again where they do not.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._cache: Any = None

    def attach(self, config: Any) -> None:
        """Let a runtime configuration read kernels from the cache, and add new ones."""
        if self._cache is None:
            self._cache = config.create_runtime_cache()
            if kernels := read_hashed(self._path):
                self._cache.deserialize(kernels)
        config.set_runtime_cache(self._cache)

    def save(self) -> None:
        """Write the compiled kernels; the file appears whole or not at all."""
        if self._cache is None:
            return
        write_hashed(self._path, bytes(self._cache.serialize()))
