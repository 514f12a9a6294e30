"""OpenVINO on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from adagen_rt.backends.execution import PRECISIONS
from adagen_rt.backends.forks import survive_forks
from adagen_rt.errors import DeviceError, EngineError, InputError, needs_extra
from adagen_rt.types import Arrays

#: Entries of a row that share a scale in products with integer weights; divides all widths.
GROUP = 128


#: OpenVINO's names of precisions.
HINTS = {"fp32": "f32", "bf16": "bf16"}


def make_backend(threads: int, provider: str | None, precision: str | None) -> OpenVINO:
    """Make the backend; it has no providers.

    Raises:
        InputError: One is given.
        DeviceError: The processor does not compute in this precision.
    """
    if provider is not None:
        raise InputError("provider", provider, "none with the backend openvino")
    return OpenVINO(threads, precision or PRECISIONS[0])


def list_precisions(core: Any) -> tuple[str, ...]:
    """List those of ``PRECISIONS`` in which this processor computes, by OpenVINO's own account."""
    able = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return tuple(name for name in PRECISIONS if name.upper() in able)


class OpenVINO:
    """Loads graphs into OpenVINO's CPU plugin.

    Args:
        threads: Threads for one operator.
        precision: Number format of products, one of ``PRECISIONS``.

    Raises:
        MissingExtraError: OpenVINO is not installed.
        DeviceError: The processor does not compute in this precision.
    """

    name = "openvino"

    def __init__(self, threads: int, precision: str = PRECISIONS[0]) -> None:
        with needs_extra("openvino", "openvino"):
            import openvino
        self._core = openvino.Core()
        # Without this it would compute in float32 and say nothing.
        if precision not in list_precisions(self._core):
            has = "this processor computes in float32 alone"
            raise DeviceError(f"precision: got {precision}, expected {PRECISIONS[0]}: {has}")
        self._settings = {
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
            # The default is bfloat16 where the processor has it.
            "INFERENCE_PRECISION_HINT": HINTS[precision],
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": str(GROUP),
            # Kernels kept from calls of other shapes get mixed up, and give wrong numbers from
            # VAR's fourth scale on (seen with 2026.4.1).
            "CPU_RUNTIME_CACHE_CAPACITY": "0",
        }

    def load(self, path: Path) -> OpenVINOSession:
        """Load an ONNX file that has been checked already.

        Raises:
            EngineError: OpenVINO does not accept the file.
        """
        try:
            model = self._core.compile_model(str(path), "CPU", self._settings)
        except Exception as error:  # pybind exceptions without a common base
            reason = str(error).strip().splitlines()[-1]
            raise EngineError(f"{path}: OpenVINO cannot load it: {reason}") from None
        session = OpenVINOSession(model)
        survive_forks(self._core, model, session)
        return session


class OpenVINOSession:
    """A compiled model and the one request that runs it."""

    def __init__(self, model: Any) -> None:
        self._request = model.create_infer_request()
        self._inputs = [port.any_name for port in model.inputs]
        self._outputs = [port.any_name for port in model.outputs]

    def run(self, inputs: Arrays) -> Arrays:
        """Compute the outputs by name; they stay valid until the next call."""
        results = self._request.infer(
            {name: np.asarray(inputs[name], order="C") for name in self._inputs},
            share_inputs=True,
            share_outputs=True,
        )
        return {name: results[name] for name in self._outputs}
