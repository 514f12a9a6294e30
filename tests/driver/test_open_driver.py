"""Without a GPU, or without a package, one line says so."""

import sys

import pytest
from cuda_fakes import make_bindings, make_pycuda, modules

from adagen_rt import cuda
from adagen_rt.errors import DeviceError, InputError, MissingExtraError


def test_an_unknown_driver():
    with pytest.raises(InputError, match="one of pycuda, cuda-python"):
        cuda.open_driver("opencl")


@pytest.mark.parametrize("name", [None, *cuda.DRIVERS])
def test_a_missing_package_names_the_extra(monkeypatch, name):
    monkeypatch.setattr(cuda, "find_spec", lambda module: None)
    with pytest.raises(MissingExtraError, match=r"adagen-rt\[cuda\]"):
        cuda.open_driver(name)


def test_no_gpu(monkeypatch):
    for name, module in modules(make_pycuda(), make_bindings(status=100)).items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(cuda, "find_spec", lambda module: module)
    for name in cuda.DRIVERS:
        with pytest.raises(DeviceError, match="CUDA_ERROR_NO_DEVICE"):
            cuda.open_driver(name)
