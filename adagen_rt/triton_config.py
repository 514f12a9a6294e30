"""Configurations of models of Triton, as texts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

#: The file beside a model's versions.
CONFIG = "config.pbtxt"
#: Requests are joined by the server, up to a model's largest batch.
JOINED = "dynamic_batching { }"


def tensor_line(
    side: str, name: str, kind: str, dims: Sequence[int | str], *, optional: bool = False
) -> str:
    """Write one tensor.

    Args:
        side: ``input`` or ``output``.
        name: Its name.
        kind: Its type, as Triton names it.
        dims: Shape of a sample; without any, a sample is a number.
        optional: Whether a request may leave it out.
    """
    shape = ", ".join(map(str, dims or [1]))
    # Triton knows no tensor without an axis besides the batch.
    bare = "" if dims else " reshape { shape: [ ] }"
    may_miss = " optional: true" if optional else ""
    about = f"name: {json.dumps(name)} data_type: {kind} dims: [ {shape} ]"
    return f"{side} [ {{ {about}{bare}{may_miss} }} ]"


def model_config(
    name: str,
    backend: str,
    batch: int,
    lines: Iterable[str],
    parameters: Mapping[str, str] | None = None,
) -> str:
    """Write a configuration.

    Args:
        name: The model's name.
        backend: What runs it.
        batch: Largest batch; 0 where requests have none.
        lines: Tensors, and what else is said of the model.
        parameters: What the backend is told, by name.
    """
    told = [
        f"parameters {{ key: {json.dumps(key)} value {{ string_value: {json.dumps(value)} }} }}"
        for key, value in (parameters or {}).items()
    ]
    head = [
        f"name: {json.dumps(name)}",
        f"backend: {json.dumps(backend)}",
        f"max_batch_size: {batch}",
    ]
    return "\n".join([*head, *lines, *told]) + "\n"
