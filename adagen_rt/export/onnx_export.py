"""Export of a PyTorch module to an ONNX graph whose weights are written one at a time."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from zlib import crc32

import numpy as np
import onnx_ir as ir
import torch
from onnxscript import optimizer
from torch import Tensor, nn

from adagen_rt.engine.contracts import KEEP_FLOAT32
from adagen_rt.engine.precision import HALF, convert_products, fold_weights
from adagen_rt.engine.sections import TensorSpec

OPSET = 20
#: What the optimizer takes for zero.
NEAR_ZERO = 1e-8
#: Only constants this small are folded; weights are handled lazily by `fold_weights`.
FOLD_BYTES = 1 << 14


class Method(nn.Module):
    """A module whose forward pass is a method of another module."""

    def __init__(self, module: nn.Module, method: str) -> None:
        super().__init__()
        self.module = module
        self.method = method

    def forward(self, *inputs: Tensor) -> Any:
        """Return the method's outputs; a named tuple becomes a plain one."""
        outputs = getattr(self.module, self.method)(*inputs)
        return tuple(outputs) if isinstance(outputs, tuple) else outputs


@dataclass(frozen=True)
class GraphPlan:
    """One graph to export.

    Attributes:
        name: Its name in the manifest.
        module: Module that computes it; takes `inputs` by position.
        inputs: Example inputs by name; dynamic axes have at least 2 entries.
        outputs: Names of the module's outputs, in order.
        dynamic: Named dynamic axes of each input.
        calls: Inputs of every call for one image, where calls differ in size.
        others: Inputs of other sizes, at which the graph is compared with the module as well.
    """

    name: str
    module: nn.Module
    inputs: dict[str, Tensor]
    outputs: tuple[str, ...]
    dynamic: dict[str, dict[int, str]] = field(default_factory=dict)
    calls: tuple[dict[str, Tensor], ...] = ()
    others: tuple[dict[str, Tensor], ...] = ()


def build_graph(plan: GraphPlan, dtype: str) -> ir.Model:
    """Trace a module into an ONNX graph.

    Args:
        plan: The graph to export.
        dtype: Precision of the matrix products: `float32`, `float16` or `bfloat16`.
    """
    # All modules get one signature, a list of inputs, to which the dynamic shapes are matched.
    module = Method(plan.module, "forward").eval()
    shapes = (tuple(plan.dynamic.get(name, {}) for name in plan.inputs),)
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            module,
            tuple(plan.inputs.values()),
            input_names=list(plan.inputs),
            output_names=list(plan.outputs),
            dynamic_shapes=shapes,
            opset_version=OPSET,
            dynamo=True,
            optimize=False,
            verbose=False,
        )
    assert program is not None  # only other exporters return nothing
    model = program.model
    _fill_weightless(model)
    if plan.name not in KEEP_FLOAT32 and dtype != "float32":
        convert_products(model, HALF[dtype])
    keep_near_zeros(model)
    fold_weights(model)
    optimizer.optimize_ir(model, input_size_limit=FOLD_BYTES, output_size_limit=FOLD_BYTES)
    drop_traces(model)
    return model


def _fill_weightless(model: ir.Model) -> None:
    """Have numbers in the place of weights on the device `meta`, made when somebody reads them."""
    for name, value in model.graph.initializers.items():
        tensor = value.const_value
        raw = getattr(tensor, "raw", None)
        if tensor is None or not (isinstance(raw, Tensor) and raw.is_meta):
            continue
        shape, dtype = tensor.shape.numpy(), tensor.dtype
        value.const_value = ir.LazyTensor(
            partial(_stand_in, name, shape, dtype), dtype=dtype, shape=ir.Shape(shape), name=name
        )


def _stand_in(name: str, shape: Sequence[int], dtype: ir.DataType) -> ir.TensorProtocol:
    """Make numbers that no other weight has, or the optimizer would keep one of both."""
    if not dtype.is_floating_point():
        return ir.tensor(np.zeros(tuple(shape), dtype.numpy()))
    drawn = np.random.default_rng(crc32(name.encode())).standard_normal(tuple(shape))
    return ir.tensor(drawn.astype(dtype.numpy()))


def keep_near_zeros(model: ir.Model) -> None:
    """Keep what is added to a divisor so that it is not zero.

    The optimizer takes a scalar close to zero for zero, and drops its addition; a vector of one
    number it leaves.
    """
    for node in model.graph.all_nodes():
        if node.op_type not in ("Add", "Sub"):
            continue
        for place, value in enumerate(node.inputs):
            constant = None if value is None else ir.convenience.get_const_tensor(value)
            if constant is None or constant.shape.dims or not 0 < abs(constant.numpy()) < NEAR_ZERO:
                continue
            vector = ir.tensor(
                constant.numpy().reshape(1), name=f"{node.outputs[0].name}_near_zero"
            )
            kept = ir.Value(
                name=vector.name,
                const_value=vector,
                shape=ir.Shape((1,)),
                type=ir.TensorType(vector.dtype),
            )
            model.graph.register_initializer(kept)
            node.replace_input_with(place, kept)


def drop_traces(model: ir.Model) -> None:
    """Remove the stack trace of each node.

    The exporter notes a stack trace per node. These take a quarter of a small graph's size, and
    contain paths of the machine that exported it.
    """
    for node in model.graph.all_nodes():
        node.metadata_props.clear()
        node.doc_string = None
        for value in node.outputs:
            value.metadata_props.clear()
    for value in (*model.graph.inputs, *model.graph.initializers.values()):
        value.metadata_props.clear()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's notes about optional packages."""
    exporter = logging.getLogger("torch.onnx")
    level = exporter.level
    exporter.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        exporter.setLevel(level)


def count_parameters(model: ir.Model) -> int:
    """Count a graph's weights: floating constants of more than one dimension or entry."""
    values = model.graph.initializers.values()
    tensors = [value.const_value for value in values if value.const_value is not None]
    return sum(tensor.size for tensor in tensors if tensor.dtype.is_floating_point())


def tensor_specs(values: Any) -> tuple[TensorSpec, ...]:
    """Describe a graph's inputs or outputs for the manifest: names, dtypes and shapes."""
    return tuple(
        TensorSpec(
            name=value.name,
            dtype=str(np.dtype(value.dtype.numpy())),
            shape=tuple(d if isinstance(d, int) else str(d) for d in value.shape),
        )
        for value in values
    )
