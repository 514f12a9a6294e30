"""Asking the driver, with a stand-in for it."""

import ctypes

import pytest

from adagen_rt.backends import gpu
from adagen_rt.errors import DeviceError


class Driver:
    """What `libcuda` would answer on a machine with a GPU of compute capability 8.9."""

    def __init__(self, failing=None):
        self.failing = failing

    def __getattr__(self, name):
        answer = getattr(self, f"_{name}")
        return lambda *arguments: 100 if name == self.failing else answer(*arguments)

    def _cuInit(self, flags):  # noqa: N802
        return 0

    def _cuDeviceGet(self, device, number):  # noqa: N802
        device._obj.value = 3
        return 0

    def _cuDeviceGetAttribute(self, value, attribute, device):  # noqa: N802
        assert device.value == 3
        value._obj.value = {75: 8, 76: 9}[attribute]
        return 0


def test_the_driver_tells_the_compute_capability(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Driver())
    assert gpu.compute_capability() == "8.9"


@pytest.mark.parametrize("function", ["cuInit", "cuDeviceGet", "cuDeviceGetAttribute"])
def test_an_error_of_the_driver_is_passed_on(monkeypatch, function):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Driver(failing=function))
    with pytest.raises(DeviceError, match=f"no NVIDIA GPU: {function} of the driver gave error"):
        gpu.compute_capability()


def test_a_missing_driver_is_named(monkeypatch):
    monkeypatch.setattr(gpu, "DRIVER", "libnothing.so.1")
    with pytest.raises(DeviceError, match=r"libnothing\.so\.1 is not on this machine"):
        gpu.compute_capability()
