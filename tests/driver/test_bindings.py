"""Memory and graphs through cuda-python, which both drivers share."""

import gc
import sys

import numpy as np
import pytest
from cuda_fakes import make_bindings, modules

from adagen_rt.cuda import kernels
from adagen_rt.cuda.graphs import Bindings
from adagen_rt.errors import DeviceError


@pytest.fixture
def bindings(monkeypatch):
    """``cuda.bindings.driver`` whose page-locked memory is ordinary."""
    fake = make_bindings()
    for name, module in modules(None, fake).items():
        monkeypatch.setitem(sys.modules, name, module)
    memory = np.zeros(4096, np.uint8)
    code = fake.cuInit.return_value[0]
    fake.memory = memory
    fake.cuMemHostAlloc.return_value = (code, memory.ctypes.data)
    fake.cuMemAlloc.return_value = (code, 512)
    fake.cuMemFree.return_value = fake.cuGraphExecDestroy.return_value = (code,)
    return fake


def test_nothing_takes_no_memory_of_no_bytes(bindings):
    driver = Bindings()
    assert driver.allocate(0) == 512
    bindings.cuMemAlloc.assert_called_once_with(1)
    driver.free(512)
    bindings.cuMemFree.assert_called_once_with(512)


def test_page_locked_memory_lives_as_long_as_the_last_array_over_it(bindings):
    array = Bindings().host_array((2, 3), np.int64)
    bindings.cuMemHostAlloc.assert_called_once_with(48, 0)
    array[:] = 7
    assert bindings.memory[:48].view(np.int64).tolist() == [7] * 6
    part = array[1:, ::2]
    del array
    gc.collect()
    bindings.cuMemFreeHost.assert_not_called()
    del part
    gc.collect()
    bindings.cuMemFreeHost.assert_called_once_with(bindings.memory.ctypes.data)


def test_a_graph_is_given_back_once(bindings):
    driver = Bindings()
    driver.begin_capture(3)
    graph = driver.end_capture(3)
    driver.forget(graph)
    bindings.cuGraphExecDestroy.assert_called_once_with(5)
    with pytest.raises(KeyError):
        driver.replay(graph, 3)


def test_without_the_library_of_nvrtc_one_line_says_what_to_install(tmp_path, monkeypatch):
    nvrtc = pytest.importorskip("cuda.bindings.nvrtc", reason="cuda-python is not installed")

    def missing(*arguments):
        raise RuntimeError("libnvrtc.so not found")

    monkeypatch.setattr(nvrtc, "nvrtcCreateProgram", missing)
    with pytest.raises(DeviceError, match="NVRTC's library was not found; install"):
        kernels.compile_kernels(kernels.source_folder(), "sm_90")
