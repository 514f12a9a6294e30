"""Stand-ins for PyCUDA and cuda-python that note what is asked of them."""

from types import ModuleType
from unittest.mock import MagicMock

CONTEXT, STREAM = 77, 1234


def make_bindings(status=0):
    """``cuda.bindings.driver`` whose calls all answer one status."""
    code = type("Status", (), {"__int__": lambda self: status, "name": "CUDA_ERROR_NO_DEVICE"})()
    driver = MagicMock()
    driver.cuInit.return_value = (code,)
    driver.cuCtxGetCurrent.return_value = (code, CONTEXT)
    driver.cuCtxSetCurrent.return_value = (code,)
    driver.cuStreamBeginCapture.return_value = (code,)
    driver.cuStreamEndCapture.return_value = (code, "graph")
    driver.cuGraphInstantiate.return_value = (code, 5)
    driver.cuGraphDestroy.return_value = (code,)
    driver.cuGraphLaunch.return_value = (code,)
    return driver


def make_pycuda():
    """``pycuda.driver`` with one GPU."""
    driver = MagicMock()
    driver.Device.count.return_value = 1
    driver.Device.return_value.compute_capability.return_value = (9, 0)
    driver.Stream.return_value = MagicMock(handle=STREAM)
    return driver


def modules(pycuda, bindings):
    """Entries of ``sys.modules``."""
    package, cuda, bound = (ModuleType(name) for name in ("pycuda", "cuda", "cuda.bindings"))
    package.driver, bound.driver = pycuda, bindings
    return {
        "pycuda": package,
        "pycuda.driver": pycuda,
        "cuda": cuda,
        "cuda.bindings": bound,
        "cuda.bindings.driver": bindings,
    }
