"""The contract between the loop and whoever executes a graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from adagen_rt.types import Session


class Backend(Protocol):
    """Loads graphs for one device.

    Attributes:
        name: What the user calls it.
    """

    name: str

    def load(self, path: Path) -> Session:
        """Load an ONNX file that has been checked already."""


@dataclass(frozen=True)
class DeviceTensor:
    """An input or output of a graph on a device.

    Attributes:
        shape: Its fixed sizes; one of them may be 0.
        dtype: A NumPy dtype's name, or ``bfloat16``.
    """

    shape: tuple[int, ...]
    dtype: str


class DeviceSession(Protocol):
    """One graph at one fixed set of shapes, over memory that the caller owns.

    Attributes:
        inputs: What it reads.
        outputs: What it writes.
    """

    inputs: Mapping[str, DeviceTensor]
    outputs: Mapping[str, DeviceTensor]

    def bind(self, addresses: Mapping[str, int]) -> None:
        """Give it the device pointers of all inputs and outputs, once; none may be 0."""

    def enqueue(self, stream: int) -> None:
        """Put it on a CUDA stream and return at once; can be captured."""


class DeviceSessions(Protocol):
    """Whoever executes an engine's graphs on a GPU."""

    def graph(self, name: str, shapes: Mapping[str, tuple[int, ...]]) -> DeviceSession:
        """The engine's graph ``name`` at these shapes of its inputs, not yet bound."""
