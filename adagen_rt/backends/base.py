"""The contract between the loop and whoever executes a graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

Arrays = dict[str, Any]


class Graph(Protocol):
    """A loaded graph."""

    def run(self, inputs: Arrays) -> Arrays:
        """Outputs by name; they stay valid until the next call."""


class Backend(Protocol):
    """Loads graphs for one device.

    Attributes:
        name: What the user calls it.
        device: Where its arrays live, such as ``cpu``.
    """

    name: str
    device: str

    def load(self, path: Path) -> Graph:
        """Load an ONNX file that has been checked already."""
