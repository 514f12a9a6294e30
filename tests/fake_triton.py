"""A stand-in for `triton_python_backend_utils` as a model of Triton's Python backend sees it."""

import json
import threading
from types import ModuleType

import numpy as np
from google.protobuf.json_format import MessageToDict

FINAL = 1


class Tensor:
    """A named array."""

    def __init__(self, name, array):
        self._name, self._array = name, array
        if not array.flags.c_contiguous:
            raise ValueError("Triton copies contiguous arrays only")

    def name(self):
        return self._name

    def as_numpy(self):
        return self._array


class TritonError(Exception):
    """An error and its code."""

    INTERNAL, INVALID_ARG, UNAVAILABLE, CANCELLED = 1, 3, 4, 7

    def __init__(self, text, code=INTERNAL):
        super().__init__(text)
        self.code = code


class InferenceResponse:
    """Arrays by name, or an error."""

    def __init__(self, output_tensors=(), error=None):
        self.arrays = {tensor.name(): tensor.as_numpy() for tensor in output_tensors}
        self.error = error


class Sender:
    """Keeps what is sent, and refuses what comes after the last response."""

    def __init__(self):
        self.responses, self.done, self.cancelled = [], threading.Event(), False

    def send(self, response=None, flags=0):
        if self.done.is_set():
            raise TritonError("a response after the last one")
        self.responses.append(response)
        if flags == FINAL:
            self.done.set()

    def is_cancelled(self):
        return self.cancelled


class Request:
    """Inputs of one request."""

    def __init__(self, batched=False, **inputs):
        self.sender, self.batched = Sender(), batched
        self.inputs = {name: self._array(value) for name, value in inputs.items()}

    def _array(self, value):
        if isinstance(value, (str, bytes)):
            value = value.encode() if isinstance(value, str) else value
            array = np.array([value], np.object_)
        else:
            array = np.atleast_1d(np.asarray(value, np.int64))
        return array[:, None] if self.batched else array

    def get_response_sender(self):
        return self.sender

    def is_cancelled(self):
        return self.sender.cancelled


def get_input_tensor_by_name(request, name):
    array = request.inputs.get(name)
    return None if array is None else Tensor(name, array)


def make_module():
    """The module that a model imports."""
    module = ModuleType("triton_python_backend_utils")
    for one in (Tensor, TritonError, InferenceResponse, get_input_tensor_by_name):
        setattr(module, one.__name__, one)
    module.TRITONSERVER_RESPONSE_COMPLETE_FINAL = FINAL
    return module


def arguments(config):
    """What `initialize` gets for a parsed configuration."""
    return {"model_config": json.dumps(MessageToDict(config, preserving_proto_field_name=True))}
