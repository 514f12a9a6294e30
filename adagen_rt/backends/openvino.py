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


#: OpenVINO's names of precisions, and of the setting.
HINTS = {"fp32": "f32", "bf16": "bf16"}
PRECISION_HINT = "INFERENCE_PRECISION_HINT"
#: Operators whose inputs, phases, stay float32 in any precision; and names of their outputs.
WAVES, PREFIX = ("Sin", "Cos"), "adagen.wave."


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
        self._precise = precision == PRECISIONS[0]
        self._settings = {
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
            # The default is bfloat16 where the processor has it.
            PRECISION_HINT: HINTS[precision],
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
            session = self._load(path)
        except Exception as error:  # pybind exceptions without a common base
            reason = str(error).strip().splitlines()[-1]
            raise EngineError(f"{path}: OpenVINO cannot load it: {reason}") from None
        survive_forks(self._core, session)
        return session

    def _load(self, path: Path) -> OpenVINOSession:
        model = self._core.read_model(str(path))
        if self._precise or not _waves(model):
            return OpenVINOSession(self._compile(model, self._settings))
        phases, rest = _cut(self._core.read_model(str(path)), model)
        settings = {**self._settings, PRECISION_HINT: HINTS[PRECISIONS[0]]}
        return OpenVINOSession(self._compile(rest, self._settings), self._compile(phases, settings))

    def _compile(self, model: Any, settings: Any) -> Any:
        return self._core.compile_model(model, "CPU", settings)


def _waves(model: Any) -> list[Any]:
    """List the sines and cosines of a model, in an order that depends on the file alone."""
    return [node for node in model.get_ordered_ops() if node.get_type_name() in WAVES]


def _cut(model: Any, rest: Any) -> tuple[Any, Any]:
    """Part a model in two: what gives its sines and cosines, and what takes them as inputs.

    A phase in bfloat16 is off by radians, since it is of hundreds of them, and no option of
    OpenVINO's Python keeps one operator in float32.

    Args:
        model: The model.
        rest: The same, read once more.
    """
    from openvino import Model, opset13

    waves = _waves(model)
    phases = Model([wave.output(0) for wave in waves], model.get_parameters())
    added = []
    for index, wave in enumerate(_waves(rest)):
        output = wave.output(0)
        given = opset13.parameter(output.get_partial_shape(), output.get_element_type())
        given.output(0).set_names({f"{PREFIX}{index}"})
        for reader in output.get_target_inputs():
            reader.replace_source_output(given.output(0))
        added.append(given)
    return phases, Model(rest.get_results(), [*rest.get_parameters(), *added])


class OpenVINOSession:
    """A compiled model and the one request that runs it.

    Args:
        model: The model.
        phases: A model of the same inputs whose outputs it takes besides, if it takes any.
    """

    def __init__(self, model: Any, phases: Any = None) -> None:
        self._models = (model, phases)  # not to be freed before the requests, see `survive_forks`
        self._request = model.create_infer_request()
        self._phases = phases and phases.create_infer_request()
        added = 0 if phases is None else len(phases.outputs)
        names = [port.any_name for port in model.inputs]
        self._inputs = names[: len(names) - added]
        self._outputs = [port.any_name for port in model.outputs]

    def run(self, inputs: Arrays) -> Arrays:
        """Compute the outputs by name; they stay valid until the next call."""
        given = {name: np.asarray(inputs[name], order="C") for name in self._inputs}
        if self._phases is not None:
            waves = self._infer(self._phases, given)
            given |= {f"{PREFIX}{index}": waves[index] for index in range(len(waves))}
        results = self._infer(self._request, given)
        return {name: results[name] for name in self._outputs}

    def _infer(self, request: Any, given: Arrays) -> Any:
        return request.infer(given, share_inputs=True, share_outputs=True)
