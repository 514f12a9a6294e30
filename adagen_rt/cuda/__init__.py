"""The CUDA driver: a thin interface, its implementations, and the kernels that it loads."""

from __future__ import annotations

from importlib.util import find_spec

from adagen_rt.cuda.driver import Driver, Launch
from adagen_rt.errors import InputError, MissingExtraError

__all__ = ["DRIVERS", "Driver", "Launch", "open_driver"]

#: Implementations of the interface, in the order of preference.
DRIVERS = ("pycuda", "cuda-python")
_MODULES = {"pycuda": "pycuda", "cuda-python": "cuda.bindings"}


def open_driver(name: str | None = None, device: int = 0, extra: str = "cuda") -> Driver:
    """Open the driver of one GPU, in the primary context, which PyTorch shares.

    Args:
        name: One of ``DRIVERS``; None takes the first that is installed.
        device: Number of the GPU.
        extra: Extra that the error names where no driver is installed.

    Raises:
        InputError: There is no driver of that name.
        MissingExtraError: The named driver, or every driver, is not installed.
        DeviceError: There is no such GPU.
    """
    if name is not None and name not in DRIVERS:
        raise InputError("driver", name, f"one of {', '.join(DRIVERS)}")
    installed = [candidate for candidate in DRIVERS if _is_installed(_MODULES[candidate])]
    chosen = name or next(iter(installed), None)
    if chosen not in installed:
        raise MissingExtraError(_MODULES[chosen or DRIVERS[-1]], extra)
    if chosen == "pycuda":
        from adagen_rt.cuda.pycuda_driver import PyCudaDriver

        return PyCudaDriver(device)
    from adagen_rt.cuda.bindings_driver import BindingsDriver

    return BindingsDriver(device)


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # its parent package is not installed either
        return False
