"""Kernels that TensorRT for RTX compiled for this machine's GPU, kept for the next process."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from adagen_rt.files import replace_file

DIGEST_BYTES = hashlib.sha256().digest_size


class JitCache:
    """One cache for all plans of an engine, in a file that starts with the SHA-256 of the rest.

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
            if kernels := self._read():
                self._cache.deserialize(kernels)
        config.set_runtime_cache(self._cache)

    def save(self) -> None:
        """Write the compiled kernels; the file appears whole or not at all."""
        if self._cache is None:
            return
        kernels = bytes(self._cache.serialize())
        content = hashlib.sha256(kernels).digest() + kernels
        replace_file(self._path, lambda path: path.write_bytes(content))

    def _read(self) -> bytes:
        if self._path.is_symlink() or not self._path.is_file():
            return b""
        content = self._path.read_bytes()
        digest, kernels = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
        return kernels if hashlib.sha256(kernels).digest() == digest else b""
