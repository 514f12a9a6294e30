"""Who executes an engine's graphs."""

from __future__ import annotations

from adagen_rt.backends.base import Backend, Graph
from adagen_rt.errors import InputError

__all__ = ["BACKENDS", "Backend", "Graph", "make_backend"]

BACKENDS = ("onnxruntime", "openvino")


def make_backend(name: str, threads: int) -> Backend:
    """The backend called ``name``, with ``threads`` threads an operator.

    Raises:
        InputError: There is no backend of that name.
        MissingExtraError: It is not installed; there is no silent fallback.
    """
    if name == "onnxruntime":
        from adagen_rt.backends.onnxruntime import OnnxRuntime

        return OnnxRuntime(threads)
    if name == "openvino":
        from adagen_rt.backends.openvino import OpenVINO

        return OpenVINO(threads)
    raise InputError("backend", name, f"one of {', '.join(BACKENDS)}")
