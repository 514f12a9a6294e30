"""Runs of a session, and the arrays that it writes its outputs into."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from adagen_rt.types import Arrays

#: A run of so many times fewer rows than the largest before it gives back the memory of those.
SMALLER = 2
#: Shapes and dtypes of a run's outputs by name.
Outputs = dict[str, tuple[tuple[int, ...], Any]]


class Buffers:
    """Memory for outputs, as large as recent batches want.

    Memory is given back at a run of at most half the rows (the first axis of the first output).
    """

    def __init__(self) -> None:
        self._buffers: Arrays = {}
        self._rows = 0

    def fit(self, outputs: Outputs) -> bool:
        """Make them fit; tell whether the run has far fewer rows than the largest before."""
        shape, _ = next(iter(outputs.values()))
        rows = shape[0] if shape else 1
        fewer = SMALLER * rows <= self._rows
        for name, (shape, dtype) in outputs.items():
            size, buffer = math.prod(shape), self._buffers.get(name)
            if fewer or buffer is None or buffer.size < size:
                self._buffers[name] = np.empty(size, dtype)
        self._rows = rows if fewer else max(rows, self._rows)
        return fewer

    def views(self, outputs: Outputs) -> Arrays:
        """Give arrays of the outputs' shapes, after `fit`."""
        return {
            name: self._buffers[name][: math.prod(shape)].reshape(shape)
            for name, (shape, _) in outputs.items()
        }


def run_into(session: Any, inputs: Arrays, outputs: Arrays, options: Any = None) -> None:
    """Run a session of ONNX Runtime, which writes into arrays.

    Args:
        session: The session.
        inputs: Contiguous arrays by name.
        outputs: Contiguous arrays by name, of the outputs' shapes and dtypes.
        options: Options of the run.
    """
    binding = _bound(session, inputs)
    for name, array in outputs.items():
        address = array.__array_interface__["data"][0]
        binding.bind_output(name, "cpu", 0, array.dtype, array.shape, address)
    session.run_with_iobinding(binding, options)


def run_new(session: Any, inputs: Arrays, options: Any) -> Arrays:
    """Run a session whose outputs ONNX Runtime allocates, which tells their shapes and dtypes."""
    binding, names = _bound(session, inputs), [node.name for node in session.get_outputs()]
    for name in names:
        binding.bind_output(name, "cpu")
    session.run_with_iobinding(binding, options)
    return dict(zip(names, binding.copy_outputs_to_cpu(), strict=True))


def _bound(session: Any, inputs: Arrays) -> Any:
    binding = session.io_binding()
    for name, array in inputs.items():
        binding.bind_cpu_input(name, array)
    return binding
