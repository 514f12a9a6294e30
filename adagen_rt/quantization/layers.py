"""The layers of a graph that can have integer weights."""

from __future__ import annotations

from collections.abc import Collection

import onnx_ir as ir

from adagen_rt.engine.precision import drop_unused
from adagen_rt.quantization import convolutions, products
from adagen_rt.quantization.convolutions import Ranges, quantize_convolution
from adagen_rt.quantization.products import quantize_product
from adagen_rt.quantization.weights import weight_kinds


def layer_kinds(model: ir.Model, ranges: Ranges) -> dict[str, list[ir.Node]]:
    """List the products, and the convolutions with known ranges, by kind of layer."""
    ops = products.OPS + (convolutions.OPS if ranges else ())
    return weight_kinds(model, ops)


def quantize_layers(model: ir.Model, kinds: Collection[str], ranges: Ranges) -> None:
    """Store the weights of these kinds as integers."""
    found = layer_kinds(model, ranges)
    for node in [node for kind, nodes in found.items() if kind in kinds for node in nodes]:
        if node.op_type in convolutions.OPS:
            quantize_convolution(model, node, ranges)
        else:
            quantize_product(model, node)
    drop_unused(model)
