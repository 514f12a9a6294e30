"""The contract between the loop and the backends that execute graphs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from adagen_rt.types import Session


class Backend(Protocol):
    """Loads graphs for one device.

    Attributes:
        name: Name of the backend.
    """

    name: str

    def load(self, path: Path) -> Session:
        """Load an ONNX file that has been checked already."""


@dataclass(frozen=True)
class DeviceTensor:
    """An input or output of a graph on a device.

    Attributes:
        shape: Sizes of its axes, fixed; a size may be 0.
        dtype: Name of a NumPy dtype, or ``bfloat16``.
    """

    shape: tuple[int, ...]
    dtype: str


class DeviceSession(Protocol):
    """One graph at one fixed set of shapes, over memory that the caller owns.

    Attributes:
        inputs: Tensors that it reads, by name.
        outputs: Tensors that it writes, by name.
    """

    inputs: Mapping[str, DeviceTensor]
    outputs: Mapping[str, DeviceTensor]

    def bind(self, addresses: Mapping[str, int]) -> None:
        """Set the device pointers of all inputs and outputs, once; none may be 0."""

    def enqueue(self, stream: int) -> None:
        """Put the graph on a CUDA stream and return at once; can be captured."""


class DeviceSessions(Protocol):
    """Graphs of one engine on a GPU."""

    def graph(self, name: str, shapes: Mapping[str, tuple[int, ...]]) -> DeviceSession:
        """Make the engine's graph ``name`` at these shapes of its inputs, not yet bound."""
