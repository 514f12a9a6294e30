"""CPU threads and instruction sets of this machine."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

#: Instruction sets that the kernels or ONNX Runtime gain from.
NOTABLE = (
    *("avx", "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512_vnni", "amx_tile"),
    *("asimd", "sve"),
)


def available_threads() -> int:
    """CPU threads that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_features() -> tuple[str, ...]:
    """The notable instruction sets of this CPU; empty where the system does not list them."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ()
    flags = {
        flag
        for line in lines
        if line.startswith(("flags", "Features"))
        for flag in line.partition(":")[2].split()
    }
    return tuple(name for name in NOTABLE if name in flags)


def has_vnni() -> bool:
    """Tell whether this CPU is known to add up products of bytes in 32 bits (VNNI)."""
    return any(name in ("avx_vnni", "avx512_vnni") for name in cpu_features())


def return_freed_memory() -> None:
    """Let the C library return freed memory to the system; glibc keeps it otherwise."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # other libraries have none
        if trim is not None:
            trim(0)
