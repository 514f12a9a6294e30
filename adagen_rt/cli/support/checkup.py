"""Checks of `doctor`; none of them raises, as a fault is a finding."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

from adagen_rt.backends.gpu import compute_capability
from adagen_rt.backends.onnxruntime.providers import installed_plugins
from adagen_rt.backends.onnxruntime.session import import_onnxruntime, installed_packages
from adagen_rt.backends.openvino import list_precisions
from adagen_rt.backends.tensorrt.modules import MODULES, Module
from adagen_rt.cli.support.plans import describe_plans
from adagen_rt.engine.folder import open_engine, shipped_engines
from adagen_rt.errors import AdagenError, DeviceError, MissingExtraError
from adagen_rt.native import load_kernels
from adagen_rt.ops.structs import check_sizes
from adagen_rt.system import available_threads, cache_folder, cpu_features, installed_versions

#: Optional packages: for training and export, plots, NVIDIA GPUs, serving.
OPTIONAL = ("torch", "matplotlib", "onnx-ir", "pycuda", "cuda-bindings", "fastapi", "tokenizers")


def examine() -> dict[str, Any]:
    """Examine the whole installation, as far as generating depends on it."""
    kernels, backend = examine_kernels(), examine_onnxruntime()
    return {
        "python": platform.python_version(),
        "adagen_rt": version("adagen-rt"),
        "cpu": {
            "machine": platform.machine(),
            "features": list(cpu_features()),
            "threads": available_threads(),
        },
        "gpu": examine_gpu(),
        "kernels": kernels,
        "backends": {
            "onnxruntime": backend,
            "openvino": examine_openvino(),
            **{name: examine_tensorrt(module) for name, module in MODULES.items()},
        },
        "plugins": installed_plugins(),
        "packages": {name: version(name) for name in OPTIONAL},
        "engines": {name: str(path) for name, path in shipped_engines().items()},
        "plans": {name: examine_plans(path) for name, path in shipped_engines().items()},
        "cache": str(cache_folder()),
        "usable": kernels["problem"] is None and backend["problem"] is None,
    }


def examine_kernels() -> dict[str, Any]:
    """Examine the compiled kernels."""
    try:
        return {"file": check_sizes(load_kernels()).__file__, "problem": None}
    except ImportError as error:
        return {"file": None, "problem": str(error)}


def examine_onnxruntime() -> dict[str, Any]:
    """Examine ONNX Runtime and the devices that it lists."""
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


def examine_openvino() -> dict[str, Any]:
    """Examine which OpenVINO there is, and what it computes in."""
    found: dict[str, Any] = {"version": version("openvino"), "precisions": []}
    if not found["version"]:
        return {**found, "problem": str(MissingExtraError("openvino", "openvino"))}
    try:
        from openvino import Core

        return {**found, "precisions": list(list_precisions(Core())), "problem": None}
    except Exception as error:  # a damaged install can fail in any way
        return {**found, "problem": " ".join(str(error).split())}


def examine_gpu() -> dict[str, Any]:
    """Examine the NVIDIA GPU."""
    try:
        return {"compute_capability": compute_capability(), "problem": None}
    except DeviceError as error:
        return {"compute_capability": None, "problem": str(error)}


def examine_tensorrt(module: Module) -> dict[str, Any]:
    """Examine a TensorRT module and its version."""
    found = {"module": module.module, "version": None}
    try:
        return {**found, "version": module.load().__version__, "problem": None}
    except Exception as error:  # a damaged install can fail in any way
        return {**found, "problem": " ".join(str(error).split())}


def examine_plans(path: Path) -> list[str]:
    """Examine which TensorRT plans of an engine there are, and whether they can be used."""
    try:
        sets = describe_plans(open_engine(path))
    except AdagenError as error:
        return [str(error)]
    return [f"{one['backend']} ({'stale' if one['faults'] else 'current'})" for one in sets]


def version(package: str) -> str | None:
    """Return the version of an installed package, or None."""
    return installed_versions(package).get(package)
