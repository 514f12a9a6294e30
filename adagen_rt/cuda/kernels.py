"""Machine code of the kernels: built with the package, or compiled at first use and cached."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Any

from adagen_rt.errors import DeviceError, InputError, needs_extra
from adagen_rt.files import read_hashed, write_hashed
from adagen_rt.system import cache_folder

#: Dynamic shared memory that every supported GPU can give a block, beyond the usual 48 KB.
SHARED_LIMIT = 96 * 1024
FATBIN = "kernels.fatbin"
_log = logging.getLogger(__name__)
_PACKAGE = Path(__file__).parents[1]
#: Folders of the sources in an installed package and in a source tree.
_SOURCES = (_PACKAGE / "cuda" / "src", _PACKAGE.parent / "cpp_ext")


def kernel_image(major: int, minor: int) -> bytes:
    """Load or compile a module with every kernel, for a GPU of this compute capability.

    Raises:
        DeviceError: There is no built module and the sources do not compile.
        MissingExtraError: There is no built module and no compiler.
    """
    built = _PACKAGE / "cuda" / FATBIN
    if built.is_file():
        return built.read_bytes()
    sources = source_folder()
    cached = cache_folder() / f"{_digest(sources)}-sm_{major}{minor}.cubin"
    return read_hashed(cached) or _compile_to(cached, sources, f"sm_{major}{minor}")


def _compile_to(cached: Path, sources: Path, arch: str) -> bytes:
    """Compile the kernels, and keep them where the cache can be written."""
    image = compile_kernels(sources, arch)
    try:
        # Another process may write the same file.
        write_hashed(cached, image)
    except (OSError, InputError) as error:
        _log.warning("compiled kernels are not kept: %s", error)
    return image


def source_folder() -> Path:
    """Return the folder of the kernels' sources."""
    for folder in _SOURCES:
        if (folder / "kernels.cuh").is_file():
            return folder
    raise DeviceError(f"kernels.cuh: not found in {' or '.join(map(str, _SOURCES))}")


def compile_kernels(sources: Path, arch: str) -> bytes:
    """Compile every kernel with NVRTC.

    Args:
        sources: Folder of the sources.
        arch: Architecture, such as ``sm_90``.
    """
    with needs_extra("cuda", "cuda-bindings"):
        from cuda.bindings import nvrtc
    text = (sources / "kernels.cuh").read_bytes()
    try:
        status, program = nvrtc.nvrtcCreateProgram(text, b"kernels.cuh", 0, [], [])
    except RuntimeError:  # raised by cuda-python where the library is not found
        raise DeviceError(
            "kernels: NVRTC's library was not found; install the CUDA toolkit, or type: "
            "pip install nvidia-cuda-nvrtc"
        ) from None
    _check(nvrtc, status, None)
    # The headers declare host functions too, which a run-time compiler does not know.
    flags = [
        f"--gpu-architecture={arch}",
        "--std=c++17",
        "--device-as-default-execution-space",
        f"--include-path={sources}",
    ]
    encoded = [flag.encode() for flag in flags]
    _check(nvrtc, nvrtc.nvrtcCompileProgram(program, len(encoded), encoded)[0], program)
    size = nvrtc.nvrtcGetCUBINSize(program)[1]
    cubin: bytes = b" " * size
    _check(nvrtc, nvrtc.nvrtcGetCUBIN(program, cubin)[0], program)
    nvrtc.nvrtcDestroyProgram(program)
    return cubin


def _check(nvrtc: Any, status: Any, program: Any) -> None:
    if int(status) == 0:
        return
    log = b""
    if program is not None:
        log = b" " * nvrtc.nvrtcGetProgramLogSize(program)[1]
        nvrtc.nvrtcGetProgramLog(program, log)
    first = log.decode(errors="replace").strip().partition("\n")[0]
    raise DeviceError(f"kernels: NVRTC answered {status.name} {first}".strip())


def _digest(sources: Path) -> str:
    content = hashlib.sha256()
    for path in sorted([*sources.glob("*.h"), *sources.glob("*.cu*")]):
        content.update(path.name.encode() + path.read_bytes())
    return content.hexdigest()[:16]
