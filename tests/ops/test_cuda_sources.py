"""The CUDA half of every kernel compiles."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from adagen_rt.cuda.kernels import compile_kernels, source_folder

SOURCES = sorted((Path(__file__).parents[2] / "cpp_ext").glob("*.cu"))
NVCC = shutil.which("nvcc")


@pytest.mark.skipif(NVCC is None, reason="nvcc, the CUDA compiler, is not installed")
@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_compiles_without_a_warning(source, tmp_path):
    ptx = tmp_path / "kernel.ptx"
    flags = ["-std=c++17", "-Werror", "all-warnings", "-gencode", "arch=compute_80,code=compute_80"]
    command = [NVCC, *flags, "--ptx", "-o", ptx, source]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert re.search(rf"\.entry adagen_{source.stem}\(", ptx.read_text())


def test_every_op_has_a_device_driver():
    hosts = {path.stem for path in SOURCES[0].parent.glob("*.cpp")}
    assert {path.stem for path in SOURCES} == hosts


@pytest.mark.parametrize("arch", ["sm_80", "sm_90", "sm_100"])
def test_compiles_without_nvcc(arch):
    pytest.importorskip("cuda.bindings.nvrtc", reason="cuda-python is not installed")
    pytest.importorskip("nvidia.cu13", reason="NVRTC's library is not installed")
    cubin = compile_kernels(source_folder(), arch)
    assert all(f"adagen_{source.stem}".encode() in cubin for source in SOURCES)
