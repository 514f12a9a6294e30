"""Comparison of exported graphs with their PyTorch modules."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from adagen_rt.backends.onnxruntime.session import OnnxRuntime
from adagen_rt.engine.contracts import KEEP_FLOAT32
from adagen_rt.engine.manifest import Dtype
from adagen_rt.errors import ExportError
from adagen_rt.export.onnx_export import GraphPlan
from adagen_rt.quantization.errors import largest_error

#: Largest difference over the output's standard deviation that passes.
TOLERANCE: dict[Dtype, float] = {"float32": 1e-3, "float16": 2e-2, "bfloat16": 1e-1}

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Expectation:
    """Expected outputs of a graph for its example inputs, without any weights.

    Attributes:
        name: The graph.
        inputs: Example inputs.
        outputs: The module's own outputs, float32.
        tolerance: Largest difference over the output's standard deviation that passes.
    """

    name: str
    inputs: Arrays
    outputs: Arrays
    tolerance: float


def expectation(plan: GraphPlan, dtype: Dtype) -> Expectation:
    """Compute the expected outputs of a graph by its module, in float32."""
    with torch.no_grad():
        outputs = plan.module.eval()(*plan.inputs.values())
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    return Expectation(
        plan.name,
        {name: tensor.numpy() for name, tensor in plan.inputs.items()},
        {name: t.float().numpy() for name, t in zip(plan.outputs, outputs, strict=True)},
        TOLERANCE["float32" if plan.name in KEEP_FLOAT32 else dtype],
    )


def measure_error(path: Path, expected: Expectation) -> float:
    """Measure an ONNX file's largest difference from the expected outputs, over their deviation.

    Raises:
        ExportError: The difference exceeds the tolerance.
    """
    graph = OnnxRuntime(torch.get_num_threads(), prepack=False).load(path)
    outputs = graph.run(expected.inputs)
    error = largest_error([outputs], [expected.outputs])
    if not error <= expected.tolerance:
        raise ExportError(
            f"{expected.name}: differs from PyTorch by {error:.2e} of its deviation, "
            f"expected at most {expected.tolerance:.0e}"
        )
    return error
