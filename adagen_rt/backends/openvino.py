"""OpenVINO on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from adagen_rt.backends.forks import survive_forks
from adagen_rt.errors import EngineError, InputError, MissingExtraError
from adagen_rt.types import Arrays

#: Entries of a row that share a scale in products with integer weights; divides all widths.
GROUP = 128


def make_backend(threads: int, provider: str | None) -> OpenVINO:
    """Make the backend; it has no providers.

    Raises:
        InputError: One is given.
    """
    if provider is not None:
        raise InputError("provider", provider, "none with the backend openvino")
    return OpenVINO(threads)


class OpenVINO:
    """Loads graphs into OpenVINO's CPU plugin.

    Args:
        threads: Threads for one operator.
    """

    name = "openvino"

    def __init__(self, threads: int) -> None:
        try:
            import openvino
        except ImportError:
            raise MissingExtraError("openvino", "openvino") from None
        self._core = openvino.Core()
        self._settings = {
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
            # The default is bfloat16 where the processor has it.
            "INFERENCE_PRECISION_HINT": "f32",
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
