"""KServe's tensors: conversion of JSON or binary data to NumPy, and back."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from adagen_rt.engine.validation import describe_faults
from adagen_rt.errors import InputError
from adagen_rt.sampling.params import MAX_STEPS
from adagen_rt.serving.http.faults import MAX_FAULTS, Fault, HTTPError
from adagen_rt.serving.http.json_text import write_json
from adagen_rt.serving.http.options import Options

#: KServe's names of the types that requests or responses may have here, little-endian.
DTYPES: dict[str, str] = {
    "UINT8": "<u1",
    "INT8": "<i1",
    "UINT16": "<u2",
    "INT16": "<i2",
    "UINT32": "<u4",
    "INT32": "<i4",
    "UINT64": "<u8",
    "INT64": "<i8",
    "FP32": "<f4",
}
NAMES = {np.dtype(code): name for name, code in DTYPES.items()}
LENGTH = struct.Struct("<I")
#: Digits of a length that could be one; Python refuses to read thousands.
MAX_DIGITS = 10
#: Inputs or outputs that one request may name.
MAX_TENSORS = 16


Parsed = TypeVar("Parsed", bound=BaseModel)
#: A number in a shape; a larger one could not be multiplied or told.
Side = Annotated[int, Field(le=1 << 62)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class InputParameters(_Body):
    """Parameters of an input tensor."""

    binary_data_size: int | None = Field(None, ge=0)


class OutputParameters(_Body):
    """Parameters of a requested output."""

    binary_data: bool | None = None


class InputTensor(_Body):
    """One input."""

    name: str
    shape: list[Side] = Field(min_length=1, max_length=2, fail_fast=True)
    datatype: str
    parameters: InputParameters = InputParameters()
    data: list[Any] | None = None


class RequestedOutput(_Body):
    """One requested output."""

    name: str
    parameters: OutputParameters = OutputParameters()


class InferParameters(Options):
    """Parameters of a request."""

    timeout: int | None = Field(None, ge=1, lt=1 << 63, description="Microseconds.")
    binary_data_output: bool = False
    priority: int | None = Field(None, ge=0, le=3, description="1 (high) to 3 (low); 0 is 2.")
    preview_every: int = Field(
        0, ge=0, le=MAX_STEPS, description="Steps between previews, where answers stream; 0: none."
    )
    triton_enable_empty_final_response: bool = Field(
        False, description="Changes nothing: the final answer of a stream is never empty."
    )


RequestedOutputs = Annotated[list[RequestedOutput], Field(max_length=MAX_TENSORS, fail_fast=True)]


class InferRequest(_Body):
    """Body of an inference request, or its JSON part."""

    id: str | None = Field(None, max_length=200)
    inputs: list[InputTensor] = Field(min_length=1, max_length=MAX_TENSORS, fail_fast=True)
    outputs: RequestedOutputs | None = None
    parameters: InferParameters = InferParameters()


def parse_request(body: bytes, header_length: str | None) -> tuple[InferRequest, bytes]:
    """Split a body into its JSON part and the binary part after it.

    Args:
        body: The whole body.
        header_length: ``Inference-Header-Content-Length``, if the request has it.
    """
    length = len(body)
    if header_length is not None:
        known = header_length.isdecimal() and len(header_length) <= MAX_DIGITS
        if not known or int(header_length) > len(body):
            expected = f"a number of bytes up to {len(body)}"
            raise InputError("Inference-Header-Content-Length", header_length[:40], expected)
        length = int(header_length)
    return parse_json(InferRequest, body[:length], "an inference request"), body[length:]


def parse_json(model: type[Parsed], text: bytes, expected: str) -> Parsed:
    """Parse a body that may come without a content type, as Triton's client sends it.

    Args:
        model: What it should be.
        text: The JSON.
        expected: The same in words.
    """
    with _described(expected):
        return model.model_validate_json(text)


def check_as(model: type[Parsed], content: dict[str, Any], expected: str) -> Parsed:
    """Check what was parsed before; arguments as of `parse_json`."""
    with _described(expected):
        return model.model_validate(content)


@contextmanager
def _described(expected: str) -> Iterator[None]:
    try:
        yield
    except ValidationError as error:
        told = describe_faults(error, MAX_FAULTS)
        fault = Fault(400, f"body: got {told}, expected {expected}", field="body")
        raise HTTPError(fault) from None


def read_inputs(request: InferRequest, binary: bytes, most: int) -> dict[str, list[Any]]:
    """Read the values of every input, flat: integers or, for BYTES, strings.

    Args:
        request: The JSON part.
        binary: The binary part.
        most: Images that the request may ask for.
    """
    values: dict[str, list[Any]] = {}
    for tensor in request.inputs:
        field = f"inputs.{tensor.name:.40}"
        if tensor.name in values:
            raise InputError(field, "twice", "each input once")
        size = tensor.parameters.binary_data_size
        if (size is None) == (tensor.data is None):
            raise InputError(field, "no data or two", "either data or binary_data_size")
        count = _count(field, tensor.shape, most)
        if size is None:
            found = _from_json(field, tensor)
        else:
            if size > len(binary):
                raise InputError(field, f"binary_data_size {size}", f"at most {len(binary)}")
            found, binary = _from_binary(field, tensor, binary[:size], count), binary[size:]
        if len(found) != count:
            raise InputError(field, f"{len(found)} values", f"{count} for shape {tensor.shape}")
        values[tensor.name] = found
    if binary:
        raise InputError("body", f"{len(binary)} bytes more", "the inputs' data and nothing else")
    return values


def _count(field: str, shape: list[int], most: int) -> int:
    """Count the values of a tensor with one value per sample: (B,) or (B, 1)."""
    if min(shape) < 1 or shape[1:] not in ([], [1]):
        raise InputError(field, f"shape {shape}", "[B] or [B, 1]")
    count = math.prod(shape)
    if count > most:
        raise InputError(field, f"{count} images", f"at most {most} in one request")
    return count


def _from_json(field: str, tensor: InputTensor) -> list[Any]:
    data = tensor.data or []
    flat = [item for row in data for item in (row if isinstance(row, list) else [row])]
    expected: type = str if tensor.datatype == "BYTES" else int
    bounds = None
    if tensor.datatype != "BYTES":
        bounds = np.iinfo(_integers(field, tensor.datatype))
    for item in flat:
        fits = isinstance(item, expected) and not isinstance(item, bool)
        if not fits or not (bounds is None or bounds.min <= item <= bounds.max):
            what = "texts (datatype BYTES)" if bounds is None else f"values of {tensor.datatype}"
            raise InputError(field, item, what)
    return flat


def _from_binary(field: str, tensor: InputTensor, data: bytes, count: int) -> list[Any]:
    if tensor.datatype == "BYTES":
        return _strings(field, data, count)
    dtype = _integers(field, tensor.datatype)
    expected = count * dtype.itemsize
    if len(data) != expected:
        raise InputError(field, f"{len(data)} bytes", f"{expected} for shape {tensor.shape}")
    values: list[Any] = np.frombuffer(data, dtype).tolist()
    return values


def _integers(field: str, datatype: str) -> np.dtype[Any]:
    dtype = np.dtype(DTYPES.get(datatype, "f4"))
    if dtype.kind not in "iu":
        raise InputError(field, f"datatype {datatype:.20}", "BYTES or an integer type")
    return dtype


def _strings(field: str, data: bytes, count: int) -> list[Any]:
    """Read strings, each after its length in four bytes; not more than one beyond ``count``."""
    found: list[Any] = []
    place = 0
    while place < len(data) and len(found) <= count:
        start = place + LENGTH.size
        end = start + LENGTH.unpack(data[place:start])[0] if start <= len(data) else len(data) + 1
        if end > len(data):
            raise InputError(field, "data that is cut short", "strings after their lengths")
        try:
            found.append(data[start:end].decode())
        except UnicodeDecodeError:
            raise InputError(field, data[start:end][:40], "UTF-8") from None
        place = end
    return found


def pack_response(
    head: dict[str, Any], outputs: dict[str, np.ndarray], binary: set[str]
) -> tuple[bytes, int | None]:
    """Make a response's body; return it and its JSON part's length if binary data follows.

    Args:
        head: Model name, version and id.
        outputs: Values by name.
        binary: Names of the outputs that go in binary.
    """
    tensors, blobs = [], []
    for name, array in outputs.items():
        tensor: dict[str, Any] = {"name": name, "shape": list(array.shape)}
        tensor["datatype"] = NAMES[array.dtype]
        if name in binary:
            tensor["parameters"] = {"binary_data_size": array.nbytes}
            blobs.append(np.ascontiguousarray(array).tobytes())
        else:
            tensor["data"] = array
        tensors.append(tensor)
    text = write_json({**head, "outputs": tensors}).encode()
    return b"".join([text, *blobs]), len(text) if blobs else None
