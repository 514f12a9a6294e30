"""Comparison of exported graphs with their PyTorch modules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from adagen_rt.backends.onnxruntime.session import OnnxRuntime
from adagen_rt.engine.contracts import KEEP_FLOAT32
from adagen_rt.engine.sections import Dtype
from adagen_rt.errors import ExportError
from adagen_rt.export.onnx_export import GraphPlan
from adagen_rt.quantization.errors import HIGH, Errors, measure_errors

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Tolerance:
    """Differences that pass, over the output's standard deviation.

    No limit is on the largest difference: rounding has long tails, and the largest of a hundred
    thousand pixels may be fourteen times the root mean square. What is broken in one place shows
    in its part.

    Attributes:
        rms: Limit of the root mean square.
        high: Limit of the high quantile, and of the root mean square of any part.
    """

    rms: float
    high: float

    def faults(self, errors: Errors) -> Iterator[str]:
        """Tell of every limit that is exceeded; a NaN exceeds all."""
        measured = {
            "of its deviation (root mean square)": (errors.rms, self.rms),
            f"in {1 - HIGH:.1%} of its entries": (errors.high, self.high),
            "in one row or channel (root mean square)": (errors.part, self.high),
        }
        for where, (got, limit) in measured.items():
            if not got <= limit:
                yield f"{got:.2e} {where}, expected at most {limit:.0e}"


#: Tolerances by the precision of the products.
TOLERANCE: dict[Dtype, Tolerance] = {
    "float32": Tolerance(rms=5e-4, high=1e-3),
    "float16": Tolerance(rms=5e-3, high=2e-2),
    "bfloat16": Tolerance(rms=4e-2, high=1.6e-1),
}


@dataclass(frozen=True)
class Expectation:
    """Expected outputs of a graph for its example inputs, without any weights.

    Attributes:
        name: The graph.
        inputs: Example inputs.
        outputs: The module's own outputs, float32.
        tolerance: Differences that pass.
    """

    name: str
    inputs: Arrays
    outputs: Arrays
    tolerance: Tolerance


def expectations(plan: GraphPlan, dtype: Dtype) -> Iterator[Expectation]:
    """Compute the expected outputs of a graph by its module, in float32, at each of its sizes."""
    for inputs in (plan.inputs, *plan.others):
        yield _expectation(plan, inputs, dtype)


def _expectation(plan: GraphPlan, inputs: dict[str, Tensor], dtype: Dtype) -> Expectation:
    with torch.no_grad():
        outputs = plan.module.eval()(*inputs.values())
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    return Expectation(
        plan.name,
        {name: tensor.numpy() for name, tensor in inputs.items()},
        {name: t.float().numpy() for name, t in zip(plan.outputs, outputs, strict=True)},
        TOLERANCE["float32" if plan.name in KEEP_FLOAT32 else dtype],
    )


def measure_error(path: Path, expected: Expectation) -> float:
    """Measure an ONNX file's largest difference from the expected outputs, over their deviation.

    Raises:
        ExportError: The differences exceed the tolerance.
    """
    graph = OnnxRuntime(torch.get_num_threads(), prepack=False).load(path)
    got = graph.run(expected.inputs)
    if faults := [*_shape_faults(got, expected.outputs)]:
        raise ExportError(f"{expected.name}: {'; '.join(faults)}")
    errors = measure_errors([got], [expected.outputs])
    if faults := [*expected.tolerance.faults(errors)]:
        raise ExportError(f"{expected.name}: differs from PyTorch by {'; by '.join(faults)}")
    return errors.largest


def _shape_faults(got: Arrays, expected: Arrays) -> Iterator[str]:
    """Tell of outputs of another shape than the module's."""
    for name, array in expected.items():
        if got[name].shape != array.shape:
            yield f"{name}: got the shape {got[name].shape}, expected PyTorch's {array.shape}"
