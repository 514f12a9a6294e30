"""A device program: an ordered list of things to put on a stream."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from adagen_rt.condition import ConditionSpec
from adagen_rt.program.buffers import Block, Buffer, Buffers


@dataclass(frozen=True)
class Op:
    """One thing to put on a stream: a graph, a kernel, a copy or a fill.

    Attributes:
        label: Description for people.
        enqueue: Puts the op on the stream given.
    """

    label: str
    enqueue: Callable[[int], None]


@dataclass(frozen=True)
class Program:
    """A whole generation of one batch.

    Attributes:
        ops: All ops, from the request to the pixels, in order.
        request: Buffers of a request: the condition's arrays (R, ...), conditional rows and then
            null twins under classifier-free guidance, ``seeds`` (B,), and ``fidelity`` (B,) with
            two policies.
        results: Buffers ``images``, ``failed`` and ``trace``.
        buffers: Owner of all memory.
        condition: Makes the null twins.
    """

    ops: tuple[Op, ...]
    request: Block
    results: Mapping[str, Buffer]
    buffers: Buffers
    condition: ConditionSpec

    @property
    def batch(self) -> int:
        """Samples of one run."""
        return self.request["seeds"].shape[0]
