"""Properties of this machine's NVIDIA GPU, from its driver, without allocating memory."""

from __future__ import annotations

import ctypes

from adagen_rt.errors import DeviceError

DRIVER = "libcuda.so.1"
#: CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR.
CAPABILITY = (75, 76)


def compute_capability() -> str:
    """Return the compute capability of the first GPU, such as ``9.0``.

    Raises:
        DeviceError: There is no driver, or no GPU.
    """
    try:
        driver = ctypes.CDLL(DRIVER)
    except OSError:
        raise DeviceError(
            f"no NVIDIA GPU: the driver's library {DRIVER} is not on this machine"
        ) from None
    device = ctypes.c_int()
    _call(driver, "cuInit", 0)
    _call(driver, "cuDeviceGet", ctypes.byref(device), 0)
    return ".".join(str(_attribute(driver, number, device)) for number in CAPABILITY)


def _attribute(driver: ctypes.CDLL, number: int, device: ctypes.c_int) -> int:
    value = ctypes.c_int()
    _call(driver, "cuDeviceGetAttribute", ctypes.byref(value), number, device)
    return value.value


def _call(driver: ctypes.CDLL, function: str, *arguments: object) -> None:
    status = getattr(driver, function)(*arguments)
    if status:
        raise DeviceError(f"no NVIDIA GPU: {function} of the driver gave error {status}")
