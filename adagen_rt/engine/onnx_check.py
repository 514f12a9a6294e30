"""ONNX files, read and checked before a runtime opens them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import onnx

from adagen_rt.engine.sections import GraphSpec, TensorSpec
from adagen_rt.errors import EngineError


def check_graph(path: Path, spec: GraphSpec, files: Collection[str]) -> None:
    """Refuse a graph that differs from the manifest, or reads files outside the folder.

    Args:
        path: The ONNX file.
        spec: The manifest's entry of the graph.
        files: Files of the engine folder whose hashes have been checked.

    Raises:
        EngineError: It is damaged, has other tensors, or its weights lie outside the folder.
    """
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf's own errors, which differ between versions
        raise EngineError(f"{path}: not an ONNX file ({error})") from None
    _check_external_data(path, model, files)
    weights = {tensor.name for tensor in model.graph.initializer}
    _check_names(path, "inputs", {t.name for t in model.graph.input} - weights, spec.inputs)
    _check_names(path, "outputs", {t.name for t in model.graph.output}, spec.outputs)
    values = {value.name: value for value in (*model.graph.input, *model.graph.output)}
    for tensor in (*spec.inputs, *spec.outputs):
        _check_tensor(path, values[tensor.name], tensor)


def _check_names(path: Path, kind: str, found: set[str], specs: Collection[TensorSpec]) -> None:
    expected = {tensor.name for tensor in specs}
    if found != expected:
        raise EngineError(
            f"{path}: {kind}: got {', '.join(sorted(found))}, "
            f"expected {', '.join(sorted(expected))}"
        )


def _check_tensor(path: Path, value: onnx.ValueInfoProto, spec: TensorSpec) -> None:
    """Compare a tensor of the file with the manifest's; a named size may be any."""
    found = value.type.tensor_type
    dtype = onnx.TensorProto.DataType.Name(found.elem_type).lower()
    dtype = {"float": "float32"}.get(dtype, dtype)
    sizes = tuple(dim.dim_value or dim.dim_param or "?" for dim in found.shape.dim)
    fits = dtype == spec.dtype and len(sizes) == len(spec.shape)
    pairs = zip(sizes, spec.shape, strict=False)
    if not fits or any(isinstance(a, int) and isinstance(b, int) and a != b for a, b in pairs):
        raise EngineError(
            f"{path}: {spec.name}: got {dtype} {_sizes(sizes)}, "
            f"expected {spec.dtype} {_sizes(spec.shape)} as in the manifest"
        )


def _sizes(shape: tuple[int | str, ...]) -> str:
    return f"({', '.join(map(str, shape))})"


def external_files(path: Path) -> set[str]:
    """Return the names of the files beside a checked ONNX file that hold its weights."""
    return _external_files(onnx.load(path, load_external_data=False))


def _external_files(model: onnx.ModelProto) -> set[str]:
    return {name for tensor in _tensors(model) for name in _locations(tensor)}


def _check_external_data(path: Path, model: onnx.ModelProto, files: Collection[str]) -> None:
    for location in _external_files(model):
        if location not in files:
            raise EngineError(f"{path}: external data {location!r} is not listed in the manifest")


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    graphs = [model.graph]
    nodes = [node for function in model.functions for node in function.node]
    while graphs or nodes:
        if graphs:
            graph = graphs.pop()
            yield from graph.initializer
            for sparse in graph.sparse_initializer:
                yield from (sparse.values, sparse.indices)
            nodes.extend(graph.node)
            continue
        for attribute in nodes.pop().attribute:
            yield from (attribute.t, *attribute.tensors)
            graphs.extend((attribute.g, *attribute.graphs))


def _locations(tensor: onnx.TensorProto) -> Iterator[str]:
    return (entry.value for entry in tensor.external_data if entry.key == "location")
