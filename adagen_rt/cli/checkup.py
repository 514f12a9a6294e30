"""What `doctor` looks at. Nothing here raises: a fault is a finding."""

from __future__ import annotations

import platform
from importlib import import_module, metadata
from typing import Any

from adagen_rt.backends.onnxruntime import import_onnxruntime, installed_packages
from adagen_rt.engine import shipped_engines
from adagen_rt.system import available_threads, cpu_features

#: Optional packages, by what they are for: training and export, plots, NVIDIA GPUs.
OPTIONAL = ("torch", "matplotlib", "tensorrt", "tensorrt-rtx", "pycuda")


def examine() -> dict[str, Any]:
    """Everything that decides whether images can be generated, and how fast."""
    kernels, backend = examine_kernels(), examine_onnxruntime()
    return {
        "python": platform.python_version(),
        "adagen_rt": version("adagen-rt"),
        "cpu": {
            "machine": platform.machine(),
            "features": list(cpu_features()),
            "threads": available_threads(),
        },
        "kernels": kernels,
        "backends": {"onnxruntime": backend},
        "packages": {name: version(name) for name in OPTIONAL},
        "engines": {name: str(path) for name, path in shipped_engines().items()},
        "usable": kernels["problem"] is None and backend["problem"] is None,
    }


def examine_kernels() -> dict[str, Any]:
    """Whether the compiled kernels are there."""
    try:
        import_module("adagen_rt._kernels")
    except ImportError as error:
        return {"problem": f"not built ({error}); type: pip install ."}
    return {"problem": None}


def examine_onnxruntime() -> dict[str, Any]:
    """Which ONNX Runtime there is, and the devices that it knows."""
    found: dict[str, Any] = {"packages": installed_packages(), "version": None, "providers": []}
    try:
        module = import_onnxruntime()
    except Exception as error:  # a damaged install can fail in any way
        return {**found, "problem": " ".join(str(error).split())}
    return {
        **found,
        "version": module.__version__,
        "providers": module.get_available_providers(),
        "problem": None,
    }


def version(package: str) -> str | None:
    """Version of an installed package."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
