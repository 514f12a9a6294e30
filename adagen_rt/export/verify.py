"""Does an exported graph compute what its PyTorch module computes?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from adagen_rt.backends.onnxruntime import OnnxRuntime
from adagen_rt.errors import ExportError
from adagen_rt.export.onnx_export import GraphPlan

#: Largest difference over the output's standard deviation that passes, by engine dtype.
TOLERANCE = {"float32": 1e-3, "float16": 5e-2}

Arrays = dict[str, np.ndarray]


def reference_outputs(plan: GraphPlan) -> Arrays:
    """The module's own float32 outputs for the example inputs."""
    with torch.no_grad():
        outputs = plan.module(*plan.inputs.values())
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    return {name: t.float().numpy() for name, t in zip(plan.outputs, outputs, strict=True)}


def measure_error(path: Path, plan: GraphPlan, expected: Arrays, dtype: str) -> float:
    """Largest difference between the ONNX file and `expected`, over its deviation.

    Raises:
        ExportError: It is beyond the tolerance for this dtype.
    """
    inputs = {name: tensor.numpy() for name, tensor in plan.inputs.items()}
    outputs = OnnxRuntime(torch.get_num_threads()).load(path).run(inputs)
    error = max(_relative(outputs[name], expected[name]) for name in plan.outputs)
    limit = TOLERANCE[dtype if plan.typed else "float32"]
    if not error <= limit:
        raise ExportError(
            f"{plan.name}: differs from PyTorch by {error:.2e} of its deviation, "
            f"expected at most {limit:.0e}"
        )
    return error


def _relative(got: np.ndarray, expected: np.ndarray) -> float:
    # A policy that has not been trained gives zeros, which have no deviation.
    deviation = float(expected.std()) or 1.0
    return float(np.abs(got - expected).max()) / deviation
