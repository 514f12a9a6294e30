"""What the PyCUDA driver asks of PyCUDA and of cuda-python."""

import sys

import numpy as np
import pytest
from cuda_fakes import CONTEXT, STREAM, make_bindings, make_pycuda, modules

from adagen_rt.cuda import Launch, pycuda_driver
from adagen_rt.errors import DeviceError


@pytest.fixture
def parts(monkeypatch):
    pycuda, bindings = make_pycuda(), make_bindings()
    for name, module in modules(pycuda, bindings).items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(pycuda_driver, "kernel_image", lambda *capability: capability)
    monkeypatch.setattr(pycuda_driver.atexit, "register", lambda call: None)
    return pycuda, bindings


def test_the_primary_context_is_retained_and_made_current(parts):
    pycuda, bindings = parts
    pycuda_driver.PyCudaDriver().activate()
    pycuda.Device.return_value.retain_primary_context.return_value.push.assert_called_once_with()
    bindings.cuCtxSetCurrent.assert_called_once_with(CONTEXT)
    pycuda.module_from_buffer.assert_called_once_with((9, 0))


def test_a_launch_passes_the_bytes_of_the_struct(parts):
    pycuda, _ = parts
    driver = pycuda_driver.PyCudaDriver()
    stream = driver.new_stream()
    driver.launch(Launch("remask", (3, 1), 256, 64, b"\1\2\0\0"), stream)
    function = pycuda.module_from_buffer.return_value.get_function
    function.assert_called_once_with("adagen_remask")
    (argument,), options = function.return_value.call_args
    assert isinstance(argument, np.void)
    assert bytes(memoryview(argument)) == b"\1\2\0\0"
    assert options == {
        "grid": (3, 1),
        "block": (256, 1, 1),
        "shared": 64,
        "stream": pycuda.Stream.return_value,
    }


def test_a_capture_goes_through_cuda_python_on_pycudas_stream(parts):
    _, bindings = parts
    driver = pycuda_driver.PyCudaDriver()
    stream = driver.new_stream()
    driver.begin_capture(stream)
    driver.replay(driver.end_capture(stream), stream)
    mode = bindings.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
    bindings.cuStreamBeginCapture.assert_called_once_with(STREAM, mode)
    bindings.cuGraphLaunch.assert_called_once_with(5, STREAM)


def test_another_gpu_than_there_is(parts):
    with pytest.raises(DeviceError, match="got 1, expected one of 1 GPUs"):
        pycuda_driver.PyCudaDriver(1)
