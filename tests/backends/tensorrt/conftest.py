"""Modules and GPUs that are not there."""

import sys

import fake_tensorrt
import pytest

from adagen_rt.backends.tensorrt import modules, runtime

VERSIONS = {"tensorrt": "11.4.0", "tensorrt-rtx": "1.7.1"}


@pytest.fixture
def gpu(monkeypatch):
    """Returns a function that pretends that a GPU of some compute capability is here."""

    def pretend(capability):
        for place in (modules, runtime):
            monkeypatch.setattr(place, "compute_capability", lambda: capability)

    pretend("8.9")
    return pretend


@pytest.fixture
def stand_in(monkeypatch):
    """Returns a function that puts a stand-in in the place of a backend's module."""

    def install(backend, version=None):
        module = fake_tensorrt.make_module(version or VERSIONS[backend])
        monkeypatch.setitem(sys.modules, modules.MODULES[backend].module, module)
        return module

    return install
