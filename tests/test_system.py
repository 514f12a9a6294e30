import ctypes
import sys
from pathlib import Path

import pytest

from adagen_rt import system
from adagen_rt.system import has_vnni, return_freed_memory

LIBRARY = ctypes.CDLL(None) if sys.platform == "linux" else None
#: Too small for glibc to map each on its own.
BLOCK, COUNT = 1 << 16, 2000


def resident():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmRSS:"))


@pytest.mark.skipif(not hasattr(LIBRARY, "malloc_trim"), reason="not glibc")
def test_freed_memory_goes_back():
    LIBRARY.malloc.restype = ctypes.c_void_p
    blocks = [LIBRARY.malloc(BLOCK) for _ in range(COUNT)]
    for block in blocks:
        ctypes.memset(block, 1, BLOCK)
    # The last block stays, so that what lies below it cannot go back by itself.
    for block in blocks[:-1]:
        LIBRARY.free(ctypes.c_void_p(block))
    before = resident()
    return_freed_memory()
    LIBRARY.free(ctypes.c_void_p(blocks[-1]))
    assert before - resident() > 0.8 * BLOCK * COUNT


@pytest.mark.parametrize(
    ("features", "found"),
    [((), False), (("avx2", "avx512f"), False), (("avx_vnni",), True), (("avx512_vnni",), True)],
)
def test_vnni_has_two_names(monkeypatch, features, found):
    monkeypatch.setattr(system, "cpu_features", lambda: features)
    assert has_vnni() == found
