"""What the processor can do: one large product of matrices on ONNX Runtime, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from worker import Calls

from adagen_rt.backends.onnxruntime.session import OnnxRuntime

#: Sizes of the published transformers: rows of two images, and an MLP's weights.
ROWS, INPUTS, OUTPUTS = 512, 1024, 4096
#: Products in a call, so that the first, which finds cold caches, counts little.
PRODUCTS = 8
FLOPS = 2 * ROWS * INPUTS * OUTPUTS * PRODUCTS


def bare_product(dtype: str, threads: int) -> Calls:
    """Products of float32 matrices (`fp32`), or of unsigned and signed integers (`int8`)."""
    integers = dtype == "int8"
    given = TensorProto.UINT8 if integers else TensorProto.FLOAT
    made = TensorProto.INT32 if integers else TensorProto.FLOAT
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (ROWS, INPUTS)).astype(np.uint8 if integers else np.float32)
    weight = rng.integers(-127, 128, (INPUTS, OUTPUTS)).astype(np.int8 if integers else np.float32)
    operator = "MatMulInteger" if integers else "MatMul"
    graph = helper.make_graph(
        [helper.make_node(operator, ["x", "w"], ["y"])],
        "bare",
        [helper.make_tensor_value_info("x", given, x.shape)],
        [helper.make_tensor_value_info("y", made, (ROWS, OUTPUTS))],
        [numpy_helper.from_array(weight, "w")],
    )
    opset = [helper.make_opsetid("", 20)]
    model = helper.make_model(graph, ir_version=10, opset_imports=opset)
    session = OnnxRuntime(threads).load_model(model, Path())

    def multiply() -> None:
        for _ in range(PRODUCTS):
            session.run({"x": x})

    return {"generate": multiply}
