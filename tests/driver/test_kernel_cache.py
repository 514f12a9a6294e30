"""Compiled kernels are kept, and used only as they were written."""

import pytest

from adagen_rt.cuda import kernels


@pytest.fixture
def compiled(monkeypatch, tmp_path):
    """Calls of the compiler, and the folder of the cache."""
    calls = []

    def compile_kernels(sources, arch):
        calls.append(arch)
        return b"cubin for " + arch.encode()

    monkeypatch.setattr(kernels, "compile_kernels", compile_kernels)
    monkeypatch.setattr(kernels, "FATBIN", "no such file")
    monkeypatch.setenv("ADAGEN_CACHE", str(tmp_path / "cache"))
    return calls, tmp_path / "cache"


def test_they_are_compiled_once(compiled):
    calls, _ = compiled
    for _ in range(3):
        assert kernels.kernel_image(9, 0) == b"cubin for sm_90"
    assert kernels.kernel_image(8, 6) == b"cubin for sm_86"
    assert calls == ["sm_90", "sm_86"]


@pytest.mark.parametrize("damage", [lambda old: old[:-1], lambda old: old + b"x", lambda old: b""])
def test_what_was_altered_is_compiled_again(compiled, damage):
    calls, cache = compiled
    kernels.kernel_image(9, 0)
    (kept,) = cache.rglob("*.cubin")
    kept.write_bytes(damage(kept.read_bytes()))
    for _ in range(2):
        assert kernels.kernel_image(9, 0) == b"cubin for sm_90"
    assert calls == ["sm_90"] * 2


def test_a_cache_that_cannot_be_written_is_done_without(compiled, caplog):
    calls, cache = compiled
    cache.write_text("no folder")
    assert kernels.kernel_image(9, 0) == b"cubin for sm_90"
    assert "are not kept" in caplog.text
    assert calls == ["sm_90"]
