"""A traced function as a model, and what the model gives."""

import onnx_ir as ir
import onnxruntime

from adagen_rt.onegraph.namespace import Namespace
from adagen_rt.onegraph.size import Size
from adagen_rt.onegraph.traced import Traced
from adagen_rt.onegraph.writer import OPSET, Writer, symbolic


def traced(function, *arrays, make=Namespace):
    """Trace a function of arrays whose first axis is the batch, run the model, give its output."""
    writer = Writer()
    xp = make(writer)
    inputs = []
    for place, array in enumerate(arrays):
        shape = (Size(1), *array.shape[1:])
        kind = ir.DataType.from_numpy(array.dtype)
        value = ir.val(f"in{place}", kind, symbolic(shape))
        inputs.append(Traced(xp, shape, array.dtype, value=value))
    writer.measure_batch(inputs[0].value)
    result = function(*inputs)
    out = writer.output("out", result.value, result.shape)
    graph = ir.Graph(
        [array.value for array in inputs],
        [out],
        nodes=writer.nodes,
        initializers=list(writer.weights.values()),
        opset_imports={"": OPSET},
        name="traced",
    )
    model = ir.to_proto(ir.Model(graph, ir_version=10)).SerializeToString()
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    feeds = {f"in{place}": array for place, array in enumerate(arrays)}
    (got,) = session.run(None, feeds)
    rows = [
        dim if isinstance(dim, int) else len(arrays[0]) * dim.rows + dim.plus
        for dim in result.shape
    ]
    assert list(got.shape) == rows
    assert got.dtype == result.dtype
    return got
