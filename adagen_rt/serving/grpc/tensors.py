"""Inference messages as bodies of the HTTP side, and its answers as messages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from adagen_rt.errors import InputError
from adagen_rt.serving.grpc.messages import MESSAGES
from adagen_rt.serving.http.tensors import LENGTH, MAX_TENSORS

#: Parameters of a message, a tensor, or settings.
MAX_PARAMETERS = 64
#: Values of a tensor that are typed.
MAX_VALUES = 4096
#: Fields of typed contents by datatype.
CONTENTS = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    "INT64": "int64_contents",
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
#: Flag of the last answer to a request of a stream.
FINAL = "triton_final_response"


def write_body(message: Any) -> tuple[bytes, int]:
    """Write a ``ModelInferRequest`` as a body, and return it with the length of its JSON part.

    Raises:
        InputError: It cannot be one.
    """
    for name in ("inputs", "outputs"):
        count = len(getattr(message, name))
        if count > MAX_TENSORS:
            raise InputError(name, f"{count} of them", f"at most {MAX_TENSORS}")
    head: dict[str, Any] = {"inputs": [], "parameters": read_parameters(message.parameters)}
    head["parameters"]["binary_data_output"] = True
    if message.id:
        head["id"] = message.id
    if message.outputs:
        head["outputs"] = [_output(output) for output in message.outputs]
    parts = [_input(message, place, head["inputs"]) for place in range(len(message.inputs))]
    raw = len(message.raw_input_contents)
    if raw not in (0, len(parts)):
        expected = f"{len(parts)}, one for each input, or none"
        raise InputError("raw_input_contents", f"{raw} of them", expected)
    text = json.dumps(head).encode()
    return b"".join([text, *parts]), len(text)


def read_parameters(given: Mapping[str, Any]) -> dict[str, Any]:
    """Read a map of parameters; one that has no value is None."""
    if len(given) > MAX_PARAMETERS:
        raise InputError("parameters", f"{len(given)} of them", f"at most {MAX_PARAMETERS}")
    found = {}
    for name, one in given.items():
        choice = one.WhichOneof("parameter_choice")
        found[name] = None if choice is None else getattr(one, choice)
    return found


def _output(output: Any) -> dict[str, Any]:
    given = {**read_parameters(output.parameters), "binary_data": True}
    return {"name": output.name, "parameters": given}


def _input(message: Any, place: int, described: list[dict[str, Any]]) -> bytes:
    """Describe an input in JSON; return its binary part, which is empty where JSON has it all."""
    tensor = message.inputs[place]
    field = f"inputs.{tensor.name:.40}"
    parameters = read_parameters(tensor.parameters)
    head = {
        "name": tensor.name,
        "datatype": tensor.datatype,
        # One number too many is refused as all of them would be.
        "shape": list(tensor.shape[:3]),
        "parameters": parameters,
    }
    described.append(head)
    filled = [one.name for one, _ in tensor.contents.ListFields()]
    if message.raw_input_contents:
        if filled:
            raise InputError(field, "contents and raw_input_contents", "either")
        # Their number is compared with that of the inputs afterwards.
        binary = bytes(next(iter(message.raw_input_contents[place : place + 1]), b""))
        parameters["binary_data_size"] = len(binary)
        return binary
    wanted = CONTENTS.get(tensor.datatype)
    if filled and filled != [wanted]:
        expected = wanted or "no datatype but those of the protocol"
        raise InputError(field, ", ".join(filled), f"{expected}, for {tensor.datatype:.20}")
    values = getattr(tensor.contents, wanted) if wanted else []
    if len(values) > MAX_VALUES:
        raise InputError(field, f"{len(values)} values", f"at most {MAX_VALUES}")
    if wanted != "bytes_contents":
        head["data"] = list(values)
        return b""
    binary = b"".join(LENGTH.pack(len(value)) + value for value in values)
    parameters["binary_data_size"] = len(binary)
    return binary


def read_answer(head: dict[str, Any], binary: memoryview) -> Any:
    """Make a ``ModelInferResponse`` of an answer's JSON part and the outputs after it."""
    message = MESSAGES["ModelInferResponse"](
        model_name=head["model_name"], model_version=head["model_version"], id=head.get("id", "")
    )
    _set_parameters(message, head.get("parameters", {}))
    place = 0
    for tensor in head["outputs"]:
        message.outputs.add(name=tensor["name"], datatype=tensor["datatype"], shape=tensor["shape"])
        size = tensor["parameters"]["binary_data_size"]
        message.raw_output_contents.append(bytes(binary[place : place + size]))
        place += size
    return message


def _set_parameters(message: Any, given: Mapping[str, bool | str]) -> None:
    for name, value in given.items():
        kind = "string_param" if isinstance(value, str) else "bool_param"
        setattr(message.parameters[name], kind, value)


def read_failure(text: str, number: str, flags: Mapping[str, bool]) -> Any:
    """Make a ``ModelStreamInferResponse`` of an error; ``number`` is the request's id."""
    answer = MESSAGES["ModelInferResponse"](id=number)
    _set_parameters(answer, flags)
    return MESSAGES["ModelStreamInferResponse"](error_message=text, infer_response=answer)
