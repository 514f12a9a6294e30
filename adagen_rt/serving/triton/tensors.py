"""Requests and responses of Triton's Python backend as this package's objects, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

# A module of Triton's, which is there in its processes alone.
import triton_python_backend_utils as triton

from adagen_rt.condition import Asked
from adagen_rt.engine.manifest import Manifest
from adagen_rt.errors import (
    AdagenError,
    DeadlineError,
    EngineError,
    InputError,
    QueueFullError,
    StoppedError,
)
from adagen_rt.sampling.params import ROWS, SamplingParams
from adagen_rt.serving.triton.repository import condition_inputs

#: Triton's codes of errors; all others are internal. The module above gets its classes after it was
#: imported, so that they are looked up when they are needed.
CODES: dict[type[AdagenError], str] = {
    InputError: "INVALID_ARG",
    EngineError: "INVALID_ARG",
    QueueFullError: "UNAVAILABLE",
    StoppedError: "UNAVAILABLE",
    DeadlineError: "CANCELLED",
}


def parameters(args: Mapping[str, str]) -> dict[str, str]:
    """Read the parameters of a model's configuration."""
    found = json.loads(args["model_config"])["parameters"]
    return {name: value["string_value"] for name, value in found.items()}


def read(request: Any, name: str) -> list[Any] | None:
    """Read the values of an input, flat: integers, numbers or texts; None without it.

    Raises:
        InputError: A text is not one of UTF-8.
    """
    tensor = triton.get_input_tensor_by_name(request, name)
    if tensor is None:
        return None
    values = tensor.as_numpy().ravel().tolist()
    try:
        return [one.decode() if isinstance(one, bytes) else one for one in values]
    except UnicodeDecodeError as error:
        raise InputError(name, f"bytes ({error.reason})", "a text of UTF-8") from None


def read_one(request: Any, name: str) -> Any:
    """Read an input that all samples of a request have in common; None without it.

    Raises:
        InputError: They do not.
    """
    values = read(request, name) or [None]
    if any(value != values[0] for value in values):
        raise InputError(name, values, "one value for all images of a request")
    return values[0]


def read_params(request: Any) -> SamplingParams:
    """Read the sampling parameters."""
    given = {name: read_one(request, name) for name in ROWS}
    return SamplingParams(**{name: value for name, value in given.items() if value is not None})


def read_condition(request: Any, manifest: Manifest) -> list[Any]:
    """Read the condition of each image, as the engine's kind of condition reads it."""
    asked: dict[str, Any] = {f"{name}s": read(request, name) for name in condition_inputs(manifest)}
    return list(manifest.condition.given(Asked(**asked)))


def answer(**arrays: np.ndarray) -> Any:
    """Make a response of arrays by their names."""
    return triton.InferenceResponse(
        [triton.Tensor(name, np.ascontiguousarray(array)) for name, array in arrays.items()]
    )


def refusal(error: BaseException) -> Any:
    """Make a response of an error."""
    code = next((code for kind, code in CODES.items() if isinstance(error, kind)), "INTERNAL")
    return _failure(str(error), code)


def cancellation() -> Any:
    """Make the response of a request whose client has left."""
    return _failure("the client left", "CANCELLED")


def send_last(sender: Any, response: Any) -> None:
    """Send the last response of a request."""
    sender.send(response, flags=triton.TRITONSERVER_RESPONSE_COMPLETE_FINAL)


def _failure(text: str, code: str) -> Any:
    error = triton.TritonError(text, getattr(triton.TritonError, code))
    return triton.InferenceResponse(error=error)


def integers(*values: int) -> np.ndarray:
    """Make an array of integers."""
    return np.array(values, np.int64)


def stacked(schedule: Mapping[str, np.ndarray], manifest: Manifest) -> np.ndarray:
    """Put chosen actions side by side: (calls, actions) float32, or with an axis more in front."""
    columns = [schedule[name] for name in manifest.schedule.names]
    return np.stack(columns, axis=-1).astype(np.float32)
