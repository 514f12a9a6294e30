"""Who executes an engine's graphs."""

from __future__ import annotations

from adagen_rt.backends.base import Backend, Graph
from adagen_rt.errors import InputError

__all__ = ["BACKENDS", "DEVICE_BACKENDS", "Backend", "Graph", "make_backend"]

HOST_BACKENDS = ("onnxruntime", "openvino")
#: Who runs whole generations on a GPU, see ``device/``.
DEVICE_BACKENDS = ("tensorrt", "tensorrt-rtx", "torch")
BACKENDS = (*HOST_BACKENDS, *DEVICE_BACKENDS)


def make_backend(name: str, threads: int, provider: str | None = None) -> Backend:
    """The backend called ``name``, whose graphs run one by one over the host's arrays.

    Args:
        name: One of ``HOST_BACKENDS``.
        threads: CPU threads of an operator.
        provider: Execution provider; None is the backend's CPU.

    Raises:
        InputError: There is no backend of that name.
        MissingExtraError: It is not installed; there is no silent fallback.
        DeviceError: The provider is installed and cannot be used.
    """
    if name == "onnxruntime":
        from adagen_rt.backends.onnxruntime.providers import CPU
        from adagen_rt.backends.onnxruntime.session import OnnxRuntime

        return OnnxRuntime(threads, provider=provider or CPU)
    if name != "openvino":
        raise InputError("backend", name, f"one of {', '.join(HOST_BACKENDS)}")
    if provider is not None:
        raise InputError("provider", provider, "none with the backend openvino")
    from adagen_rt.backends.openvino import OpenVINO

    return OpenVINO(threads)
