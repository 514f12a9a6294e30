"""An ONNX graph as a PyTorch module, on any device.

It covers the operators that the exporter writes for the four families in float32, float16 and
bfloat16; any other is refused by name. Shapes, axes and bounds stay on the CPU, from their
constant or ``Shape`` to the operator that reads them, so that nothing waits for a device and a
whole graph can be captured.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import numpy_helper
from torch import Tensor, nn

from adagen_rt.errors import EngineError

#: Constants of up to this many numbers may be shapes, axes, bounds or scales.
FEW = 8
#: Operators whose later inputs are such numbers.
SIZED = frozenset(
    {"Expand", "Reshape", "Resize", "Slice", "Split", "Squeeze", "Unsqueeze"}
    | {"ReduceL2", "ReduceMean", "ReduceSum"}
)
DTYPES = {
    onnx.TensorProto.FLOAT: torch.float32,
    onnx.TensorProto.FLOAT16: torch.float16,
    onnx.TensorProto.BFLOAT16: torch.bfloat16,
    onnx.TensorProto.INT64: torch.int64,
}
Attributes = dict[str, Any]


class OnnxModule(nn.Module):
    """Runs a graph's nodes one by one, without rounding convolutions' inputs to TensorFloat-32.

    Args:
        path: An ONNX file; weights outside of it are read from its folder.

    Raises:
        EngineError: An operator is not covered.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        graph = onnx.load(path).graph
        if unknown := {node.op_type for node in graph.node} - set(OPERATORS):
            raise EngineError(
                f"{path}: PyTorch runs no operators {', '.join(sorted(unknown))}; "
                "take an engine of float32 or half precision"
            )
        weights = {one.name: _tensor(one) for one in graph.initializer}
        self._nodes: list[tuple[onnx.NodeProto, Attributes]] = []
        self._outputs = [value.name for value in graph.output]
        for node in graph.node:
            attributes = _attributes(node)
            if node.op_type == "Cast" and node.input[0] in weights:
                # Weights may be stored as halves; a cast of them is made once.
                weights[node.output[0]] = OPERATORS["Cast"](attributes, weights[node.input[0]])
            else:
                self._nodes.append((node, attributes))
        self._last_use = {n: i for i, (node, _) in enumerate(self._nodes) for n in node.input}
        self._buffers_of: dict[str, str] = {}
        self._few: dict[str, Tensor] = {}
        read = set(self._last_use) | set(self._outputs)
        for number, (name, value) in enumerate(weights.items()):
            if name not in read:
                continue
            self._buffers_of[name] = f"constant_{number}"
            self.register_buffer(f"constant_{number}", value)
            if value.numel() <= FEW:
                self._few[name] = value  # stays on the CPU when the module moves

    @torch.no_grad()
    def forward(self, **inputs: Tensor) -> tuple[Tensor, ...]:
        """Compute the outputs, in the graph's order, from its inputs by name."""
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            return self._run(inputs)

    def _run(self, inputs: dict[str, Tensor]) -> tuple[Tensor, ...]:
        values = dict(inputs)
        for index, (node, attributes) in enumerate(self._nodes):
            given = self._given(node, values)
            result = OPERATORS[node.op_type](attributes, *given)
            results = result if isinstance(result, tuple) else (result,)
            values |= zip(node.output, results, strict=True)
            for name in node.input:
                if self._last_use[name] == index and name not in self._outputs:
                    values.pop(name, None)
        return tuple(values[name] for name in self._outputs)

    def _given(self, node: onnx.NodeProto, values: dict[str, Tensor]) -> list[Tensor | None]:
        """Return a node's inputs; small constants stay on the CPU, where operators read them."""
        made = [values[name] for name in node.input if name in values]
        on_cpu = bool(made) and all(value.device.type == "cpu" for value in made)
        given: list[Tensor | None] = []
        for place, name in enumerate(node.input):
            read = on_cpu or (node.op_type in SIZED and place > 0)
            if name in values or not name:
                given.append(values.get(name))
            elif read and name in self._few:
                given.append(self._few[name])
            else:
                given.append(getattr(self, self._buffers_of[name]))
        return given


def _tensor(initializer: onnx.TensorProto) -> Tensor:
    if initializer.data_type == onnx.TensorProto.BFLOAT16:
        # NumPy has no bfloat16, whose bits are the upper half of float32's.
        array = np.array(numpy_helper.to_array(initializer)).view(np.int16)
        return torch.from_numpy(array).view(torch.bfloat16)
    # A copy, as the array over the file's bytes is read-only.
    return torch.from_numpy(np.array(numpy_helper.to_array(initializer)))


def _attributes(node: onnx.NodeProto) -> Attributes:
    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}


def _conv(a: Attributes, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    top, left, bottom, right = a["pads"]
    padded = F.pad(x, (left, right, top, bottom)) if any(a["pads"]) else x
    return F.conv2d(padded, weight, bias, a["strides"], 0, a["dilations"], a["group"])


def _depth_to_space(a: Attributes, x: Tensor) -> Tensor:
    side = a["blocksize"]
    if a.get("mode", b"DCR") == b"CRD":
        return F.pixel_shuffle(x, side)
    count, channels, height, width = x.shape
    blocks = x.reshape(count, side, side, channels // side**2, height, width)
    return blocks.permute(0, 3, 4, 1, 5, 2).reshape(count, -1, side * height, side * width)


def _gather(a: Attributes, data: Tensor, indices: Tensor) -> Tensor:
    axis = a.get("axis", 0) % data.ndim
    # From the end, where it is negative; nobody on the host has to know.
    places = torch.where(indices < 0, indices + data.shape[axis], indices)
    flat = data.index_select(axis, places.reshape(-1))
    return flat.reshape(*data.shape[:axis], *indices.shape, *data.shape[axis + 1 :])


def _gather_nd(a: Attributes, data: Tensor, indices: Tensor) -> Tensor:
    return data[tuple(indices.movedim(-1, 0))]


def _gemm(a: Attributes, left: Tensor, right: Tensor, bias: Tensor) -> Tensor:
    left = left.T if a.get("transA") else left
    right = right.T if a.get("transB") else right
    return a.get("alpha", 1.0) * (left @ right) + a.get("beta", 1.0) * bias


def _layer_norm(a: Attributes, x: Tensor, scale: Tensor, bias: Tensor | None = None) -> Tensor:
    return F.layer_norm(x, scale.shape, scale, bias, a["epsilon"])


def _reshape(a: Attributes, x: Tensor, shape: Tensor) -> Tensor:
    sizes = shape.tolist()
    if not a.get("allowzero"):
        sizes = [x.shape[axis] if size == 0 else size for axis, size in enumerate(sizes)]
    return x.reshape(sizes)


def _resize(a: Attributes, x: Tensor, roi: Any, scales: Tensor, sizes: Any = None) -> Tensor:
    return F.interpolate(x, scale_factor=scales.tolist()[2:], mode="nearest")


def _shape(a: Attributes, x: Tensor) -> Tensor:
    return torch.tensor(x.shape[a.get("start", 0) : a.get("end")])


def _slice(a: Attributes, x: Tensor, starts: Tensor, ends: Tensor, *rest: Tensor) -> Tensor:
    axes = rest[0].tolist() if rest else range(len(starts))
    for axis, start, end in zip(axes, starts.tolist(), ends.tolist(), strict=True):
        index = [slice(None)] * x.ndim
        # "To the end" is written as the largest number, and "from the start" as the smallest.
        size = x.shape[axis]
        index[axis] = slice(max(start, -size), min(end, size))
        x = x[tuple(index)]
    return x


def _split(a: Attributes, x: Tensor, sizes: Tensor | None = None) -> tuple[Tensor, ...]:
    axis = a.get("axis", 0)
    parts = -(-x.shape[axis] // a["num_outputs"]) if sizes is None else sizes.tolist()
    return tuple(x.split(parts, axis))


def _squeeze(a: Attributes, x: Tensor, axes: Tensor) -> Tensor:
    return x.squeeze(tuple(axes.tolist()))


def _unsqueeze(a: Attributes, x: Tensor, axes: Tensor) -> Tensor:
    for axis in sorted(axis % (x.ndim + len(axes)) for axis in axes.tolist()):
        x = x.unsqueeze(axis)
    return x


def _reduce(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def run(a: Attributes, x: Tensor, axes: Tensor) -> Tensor:
        return function(x, dim=axes.tolist(), keepdim=bool(a["keepdims"]))

    return run


def _plain(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda a, *inputs: function(*inputs)


OPERATORS: dict[str, Callable[..., Any]] = {
    "Add": _plain(torch.add),
    "Cast": lambda a, x: x.to(DTYPES[a["to"]]),
    "Clip": _plain(torch.clamp),
    "Concat": lambda a, *inputs: torch.cat(inputs, a["axis"]),
    "Conv": _conv,
    "Cos": _plain(torch.cos),
    "DepthToSpace": _depth_to_space,
    "Div": _plain(torch.div),
    "Equal": _plain(torch.eq),
    "Expand": lambda a, x, shape: x * torch.ones(shape.tolist(), dtype=x.dtype, device=x.device),
    "Gather": _gather,
    "GatherND": _gather_nd,
    "Gelu": lambda a, x: F.gelu(x, approximate=a["approximate"].decode()),
    "Gemm": _gemm,
    "InstanceNormalization": lambda a, x, scale, bias: F.instance_norm(
        x, weight=scale, bias=bias, eps=a["epsilon"]
    ),
    "LayerNormalization": _layer_norm,
    "LeakyRelu": lambda a, x: F.leaky_relu(x, a["alpha"]),
    "MatMul": _plain(torch.matmul),
    "MaxPool": lambda a, x: F.max_pool2d(x, a["kernel_shape"], a["strides"]),
    "Mul": _plain(torch.mul),
    "ReduceL2": _reduce(torch.linalg.vector_norm),
    "ReduceMean": _reduce(torch.mean),
    "ReduceSum": _reduce(torch.sum),
    "Relu": _plain(torch.relu),
    "Reshape": _reshape,
    "Resize": _resize,
    "Shape": _shape,
    "Sigmoid": _plain(torch.sigmoid),
    "Sin": _plain(torch.sin),
    "Slice": _slice,
    "Softmax": lambda a, x: x.softmax(a["axis"]),
    "Split": _split,
    "Squeeze": _squeeze,
    "Sub": _plain(torch.sub),
    "Transpose": lambda a, x: x.permute(a["perm"]),
    "Unsqueeze": _unsqueeze,
    "Where": _plain(torch.where),
}
