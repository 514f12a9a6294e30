"""One graph on its own, with arrays of the host."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from adagen_rt.backends.base import DeviceSession
from adagen_rt.cuda import Driver
from adagen_rt.program.buffers import Buffer, Buffers


class HostCall:
    """Brings a graph's inputs to the device, runs it, and brings its outputs back.

    Args:
        graph: The graph at the shapes of its calls; its dtypes are NumPy's.
        driver: The GPU.
        stream: Stream that runs all work.
    """

    def __init__(self, graph: DeviceSession, driver: Driver, stream: int) -> None:
        self._graph, self._driver, self._stream = graph, driver, stream
        self._buffers = Buffers(driver, stream)
        specs = {**graph.inputs, **graph.outputs}
        made = {key: self._buffers.new(spec.shape, spec.dtype) for key, spec in specs.items()}
        graph.bind({key: buffer.address for key, buffer in made.items()})
        self._read = {key: self._held(made[key]) for key in graph.inputs}
        self._written = {key: self._held(made[key]) for key in graph.outputs}

    def __call__(self, inputs: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Compute the outputs by name; the next call overwrites them."""
        for key, (array, address) in self._read.items():
            array[...] = inputs[key]
            self._driver.upload(address, array, self._stream)
        self._graph.enqueue(self._stream)
        for array, address in self._written.values():
            self._driver.download(array, address, self._stream)
        self._driver.synchronize(self._stream)
        return {key: array for key, (array, _) in self._written.items()}

    def close(self) -> None:
        """Give the memory back; the graph does not run after it."""
        self._buffers.free()

    def _held(self, buffer: Buffer) -> tuple[NDArray[Any], int]:
        return self._driver.host_array(buffer.shape, buffer.dtype), buffer.address
