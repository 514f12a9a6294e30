"""Small graphs computed a few rows at a time, each part by one thread.

Threads that share an operator wait for each other after every one of them, which in a small
network costs much of what they save, and the values of many rows do not fit a core's cache. Rows
of an engine's graphs do not depend on each other, so threads can take different rows instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import numpy as np
import onnx

from adagen_rt.backends.onnxruntime.buffers import Buffers, Outputs, run_into, run_new
from adagen_rt.types import Arrays

#: Largest weights, in bytes, of a graph whose rows are computed so.
SMALL = 64 << 20
#: Most rows of a part.
PART = 4


def split_inputs(model: onnx.ModelProto) -> frozenset[str]:
    """Name the inputs whose first axis is the batch; none if the graph's rows cannot be parted.

    They can if the outputs' first axis is open, and neither they nor the inputs have that size
    on another axis.
    """
    shapes = {value.name: _shape(value) for value in (*model.graph.input, *model.graph.output)}
    firsts = {tuple(shapes[value.name][:1]) for value in model.graph.output}
    (batch,) = firsts.pop() or ("",)
    if firsts or not isinstance(batch, str):
        return frozenset()
    if any(batch in shape[1:] for shape in shapes.values()):
        return frozenset()
    names = (value.name for value in model.graph.input)
    return frozenset(name for name in names if shapes[name][:1] == [batch])


def is_small(model: onnx.ModelProto) -> bool:
    """Tell whether a graph's weights, read without external data, take at most `SMALL` bytes."""
    tensors = model.graph.initializer
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in tensors):
        return False
    weights: int = sum(tensor.ByteSize() for tensor in tensors)
    return weights <= SMALL


def parts(rows: int, threads: int) -> Iterator[slice]:
    """Deal rows out: as many to each thread, and at most `PART` at a time."""
    turns = max(1, -(-rows // (PART * threads)))
    size = max(1, -(-rows // (turns * threads)))
    yield from (slice(first, min(first + size, rows)) for first in range(0, rows, size))


class RowSession:
    """A session of one thread that several threads run at once, each on rows of its own.

    Args:
        session: ONNX Runtime's session.
        shrink: Options of a run after which ONNX Runtime gives back memory that is not in use.
        split: Inputs that have the rows; see `split_inputs`.
        pool: The threads besides the caller's.
        threads: All of them.
    """

    def __init__(
        self,
        session: Any,
        shrink: Any,
        split: frozenset[str],
        pool: ThreadPoolExecutor,
        threads: int,
    ) -> None:
        self._session, self._shrink, self._split = session, shrink, split
        self._pool, self._threads = pool, threads
        self._inputs = [node.name for node in session.get_inputs()]
        self._known: dict[tuple[tuple[int, ...], ...], Outputs] = {}
        self._buffers = Buffers()
        self._shapes: list[tuple[int, ...]] | None = None
        self._parts: list[slice] = []
        self._outputs: Arrays = {}

    def run(self, inputs: Arrays) -> Arrays:
        """Compute the outputs by name; they stay valid until the next call."""
        arrays = {name: np.ascontiguousarray(inputs[name]) for name in self._inputs}
        shapes = [array.shape for array in arrays.values()]
        if shapes != self._shapes:
            self._fit(arrays)
            self._shapes = shapes
        outputs = dict(self._outputs)
        if len(self._parts) == 1:
            run_into(self._session, arrays, outputs)
        else:
            self._deal(arrays, outputs)
        return outputs

    def _fit(self, arrays: Arrays) -> None:
        """Make the outputs, and part the rows, for inputs of these shapes."""
        rows = next(len(arrays[name]) for name in self._split)
        expected = {
            name: ((rows, *shape), dtype) for name, (shape, dtype) in self._row(arrays).items()
        }
        self._buffers.fit(expected)
        self._outputs = self._buffers.views(expected)
        self._parts = list(parts(rows, self._threads))

    def _deal(self, arrays: Arrays, outputs: Arrays) -> None:
        """Let every thread take parts until none is left."""
        taken = iter(self._parts)

        def work() -> None:
            for part in taken:
                self._run(part, arrays, outputs)

        others = [self._pool.submit(work) for _ in self._parts[1 : self._threads]]
        try:
            work()
        finally:
            wait(others)
        for other in others:
            other.result()

    def _run(self, part: slice, arrays: Arrays, outputs: Arrays) -> None:
        own = {name: array[part] for name, array in outputs.items()}
        run_into(self._session, self._rows(part, arrays), own)

    def _rows(self, part: slice, arrays: Arrays) -> Arrays:
        """Take rows of the inputs that have them."""
        return {n: array[part] if n in self._split else array for n, array in arrays.items()}

    def _row(self, arrays: Arrays) -> Outputs:
        """Tell the shape and dtype of a row of every output.

        ONNX Runtime is asked once for each shape of the inputs' rows.
        """
        key = tuple(
            array.shape[1:] if name in self._split else array.shape
            for name, array in arrays.items()
        )
        if key not in self._known:
            made = run_new(self._session, self._rows(slice(0, 1), arrays), self._shrink)
            self._known[key] = {name: (x.shape[1:], x.dtype) for name, x in made.items()}
        return self._known[key]


def _shape(value: onnx.ValueInfoProto) -> list[str | int]:
    return [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]
