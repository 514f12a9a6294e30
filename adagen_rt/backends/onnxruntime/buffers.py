"""Arrays that a session writes its outputs into."""

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


def bind_outputs(binding: Any, outputs: Arrays) -> None:
    """Have a run write into arrays."""
    for name, array in outputs.items():
        address = array.__array_interface__["data"][0]
        binding.bind_output(name, "cpu", 0, array.dtype, array.shape, address)
