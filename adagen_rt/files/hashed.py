"""Files that begin with the SHA-256 of the rest, so that a damaged one is found out."""

from __future__ import annotations

import hashlib
from pathlib import Path

from adagen_rt.files.staging import replace_file

DIGEST_BYTES = hashlib.sha256().digest_size


def write_hashed(path: Path, content: bytes) -> None:
    """Write such a file; it appears whole or not at all."""
    whole = hashlib.sha256(content).digest() + content
    replace_file(path, lambda temporary: temporary.write_bytes(whole))


def read_hashed(path: Path) -> bytes:
    """Read what was written; empty where there is no such file, or a damaged one or a link."""
    if path.is_symlink():
        return b""
    try:
        whole = path.read_bytes()
    except OSError:
        return b""
    digest, content = whole[:DIGEST_BYTES], whole[DIGEST_BYTES:]
    return content if hashlib.sha256(content).digest() == digest else b""
