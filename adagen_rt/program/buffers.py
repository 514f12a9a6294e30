"""Named device memory, allocated once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adagen_rt.cuda import Driver

#: Bytes of one number; NumPy has no bfloat16.
ITEM_SIZES = {"float32": 4, "float16": 2, "bfloat16": 2, "int64": 8, "uint8": 1}
#: Buffers within one allocation begin at multiples of this.
_ALIGNMENT = 256


@dataclass(frozen=True)
class Buffer:
    """An array on the device.

    Attributes:
        address: Address of its first element.
        shape: Its shape.
        dtype: Name of its dtype.
    """

    address: int
    shape: tuple[int, ...]
    dtype: str

    @property
    def size(self) -> int:
        """Size in bytes."""
        return math.prod(self.shape) * ITEM_SIZES[self.dtype]

    def rows(self, begin: int, count: int) -> Buffer:
        """Return ``count`` rows of the first axis, from row ``begin`` on."""
        row = self.size // self.shape[0]
        return Buffer(self.address + begin * row, (count, *self.shape[1:]), self.dtype)


class Buffers:
    """Allocates and keeps the buffers of one program.

    Args:
        driver: The driver that allocates the memory.
        stream: Stream that copies initial values.
    """

    def __init__(self, driver: Driver, stream: int) -> None:
        self._driver = driver
        self._stream = stream
        self._addresses: list[int] = []

    def new(self, shape: tuple[int, ...], dtype: str) -> Buffer:
        """Allocate uninitialised memory."""
        buffer = Buffer(0, shape, dtype)
        return Buffer(self._allocate(buffer.size), shape, dtype)

    def constant(self, values: NDArray[Any]) -> Buffer:
        """Allocate memory that holds these values."""
        buffer = self.new(values.shape, str(values.dtype))
        self._upload(buffer.address, values)
        return buffer

    def block(self, fields: Mapping[str, tuple[tuple[int, ...], str]]) -> Block:
        """Allocate one uninitialised block of memory, divided into named arrays.

        Args:
            fields: Shape and dtype of each array by name.
        """
        offsets, end = {}, 0
        for name, (shape, dtype) in fields.items():
            offsets[name] = end
            end += -(-Buffer(0, shape, dtype).size // _ALIGNMENT) * _ALIGNMENT
        whole = self.new((end,), "uint8")
        parts = {name: Buffer(whole.address + offsets[name], *fields[name]) for name in fields}
        return Block(parts, whole)

    def state(self, initial: Mapping[str, NDArray[Any]]) -> tuple[Block, Buffer]:
        """Allocate a block for a program's state, and a copy of its initial values."""
        block = self.block({name: (x.shape, str(x.dtype)) for name, x in initial.items()})
        image = np.zeros(block.whole.shape, np.uint8)
        for name, values in block.views(image).items():
            values[...] = initial[name]
        return block, self.constant(image)

    def free(self) -> None:
        """Give all memory back."""
        while self._addresses:
            self._driver.free(self._addresses.pop())

    def _allocate(self, size: int) -> int:
        address = self._driver.allocate(size)
        self._addresses.append(address)
        return address

    def _upload(self, address: int, values: NDArray[Any]) -> None:
        self._driver.upload(address, np.ascontiguousarray(values), self._stream)
        # The source may be freed as soon as this returns.
        self._driver.synchronize(self._stream)


@dataclass(frozen=True)
class Block:
    """Named arrays in one block of memory.

    Attributes:
        fields: The arrays by name.
        whole: All of them as bytes.
    """

    fields: Mapping[str, Buffer]
    whole: Buffer

    def __getitem__(self, name: str) -> Buffer:
        return self.fields[name]

    def views(self, image: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """View the host's image of the whole as the arrays."""
        first = self.whole.address
        return {
            name: image[part.address - first :][: part.size].view(part.dtype).reshape(part.shape)
            for name, part in self.fields.items()
        }
