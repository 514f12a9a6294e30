"""The structs of ``cpp_ext/ops.h``, field by field: arguments of the kernels.

A pointer is an address on the device that runs the kernel, 0 for none. Enumerations are
32-bit integers: ``DTYPES``, ``PROCESSES``, and a solver's ``code``.
"""

from __future__ import annotations

import ctypes
from ctypes import c_double, c_float, c_int32, c_int64, c_void_p
from types import ModuleType
from typing import Any

from adagen_rt.errors import KernelsError
from adagen_rt.ops.solver import MAX_DEGREE, Process

#: ``Dtype`` by the names that tensors have.
DTYPES = {"float32": 0, "float16": 1, "bfloat16": 2}
#: ``Process`` by the kinds that ``ops.solver`` has.
PROCESSES = {"vp": 0, "linear": 1}

#: Coefficients of a process, zeros behind the last.
LogAlpha = c_double * MAX_DEGREE


def log_alpha(process: Process) -> ctypes.Array[c_double]:
    """Lay out the coefficients of a process."""
    return LogAlpha(*process.log_alpha)


def _fields(pointers: str = "", **others: Any) -> list[tuple[str, Any]]:
    return [*((name, c_void_p) for name in pointers.split()), *others.items()]


class Failures(ctypes.Structure):
    """Address at which a sample that met a non-finite number is marked."""

    _fields_ = _fields("at step")


class BatchNoise(ctypes.Structure):
    """Philox streams, or injected Gumbel noise."""

    _fields_ = _fields("seeds steps token confidence")


class Logits(ctypes.Structure):
    """Logits of both halves of a batch, and the guidance that combines them."""

    _fields_ = [
        *_fields("cond null guidance", growth=c_float, dtype=c_int32),
        *_fields(batch=c_int64, tokens=c_int64, vocabulary=c_int64),
    ]


class GuidedSample(ctypes.Structure):
    """Arguments of ``guided_sample``."""

    _fields_ = [
        ("logits", Logits),
        *_fields("temperature confidence_temperature tokens", mask_id=c_int64, noise=BatchNoise),
        *_fields("sampled confidence", failures=Failures),
    ]


class Remask(ctypes.Structure):
    """Arguments of ``remask``."""

    _fields_ = [
        *_fields("sampled confidence mask_ratio", mask_id=c_int64),
        *_fields(batch=c_int64, tokens=c_int64, copies=c_int64),
        *_fields("masked remaining"),
    ]


class SampleTopKTopP(ctypes.Structure):
    """Arguments of ``sample_top_k_top_p``."""

    _fields_ = [
        ("logits", Logits),
        *_fields("top_k top_p temperature", noise=BatchNoise),
        *_fields("sampled", failures=Failures),
    ]


class SolverUpdate(ctypes.Structure):
    """Arguments of ``solver_update``."""

    _fields_ = [
        *_fields("x anchor anchor_data cond null guidance times phase"),
        *_fields(process=c_int32, solver=c_int32, dtype=c_int32, guided=c_int32),
        *_fields(log_alpha=LogAlpha),
        *_fields(batch=c_int64, channels=c_int64, pixels=c_int64, copies=c_int64),
        *_fields("next next_anchor next_data", failures=Failures),
    ]


class Normal(ctypes.Structure):
    """Arguments of ``normal``."""

    _fields_ = _fields("seeds", batch=c_int64, count=c_int64, copies=c_int64) + _fields("values")


class Schedule(ctypes.Structure):
    """Arguments of ``schedule``."""

    _fields_ = [
        *_fields("raw second share residual scales", smoothing=c_float, renewal=c_float),
        *_fields(stop=c_int32, ended=c_int32, ending=c_float),
        *_fields(batch=c_int64, actions=c_int64, calls=c_int64, ahead=c_int64, trained=c_int64),
        *_fields("call step policy_step smoothed values trace remaining", failures=Failures),
    ]


class SolverTimes(ctypes.Structure):
    """Arguments of ``solver_times``."""

    _fields_ = [
        *_fields("chosen step", process=c_int32, first=c_int32, multistep=c_int32, margin=c_float),
        *_fields(batch=c_int64, copies=c_int64, evaluations=c_int64),
        *_fields("time start_time times phase remaining"),
    ]


class Pixels(ctypes.Structure):
    """Arguments of ``pixels``."""

    _fields_ = [
        *_fields("image", dtype=c_int32, low=c_float, factor=c_float),
        *_fields(batch=c_int64, channels=c_int64, pixels=c_int64),
        *_fields("failed bytes"),
    ]


#: The struct of every op by the name of its kernel.
OPS: dict[str, type[ctypes.Structure]] = {
    "guided_sample": GuidedSample,
    "normal": Normal,
    "pixels": Pixels,
    "remask": Remask,
    "sample_top_k_top_p": SampleTopKTopP,
    "schedule": Schedule,
    "solver_times": SolverTimes,
    "solver_update": SolverUpdate,
}


def check_sizes(kernels: ModuleType) -> ModuleType:
    """Return the compiled kernels if their structs are these.

    Raises:
        KernelsError: They were built from other sources, and would read the wrong fields.
    """
    for name, struct in OPS.items():
        try:
            size = kernels.struct_size(name)
        except KeyError:
            size = None
        if size != ctypes.sizeof(struct):
            raise KernelsError(f"{kernels.__file__} was built from other sources ({name} differs)")
    return kernels
