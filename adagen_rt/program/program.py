"""A device program: an ordered list of things to put on a stream."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from adagen_rt.program.buffers import Buffer, Buffers


@dataclass(frozen=True)
class Op:
    """One thing to put on a stream: a graph, a kernel, a copy or a fill.

    Attributes:
        label: What it is, for people.
        enqueue: Puts it on the stream given.
    """

    label: str
    enqueue: Callable[[int], None]


@dataclass(frozen=True)
class Program:
    """A whole generation of one batch.

    Attributes:
        begin: From the labels and seeds to the first evaluation.
        steps: One list for each evaluation: backbone, policy, schedule, sampling.
        end: The decoder and what follows.
        request: Where labels (2B,) and seeds (B,) go, as one int64 array.
        shares: Where the shares of the second policy (B,) go, if there is one.
        buffers: Owner of all memory.
        named: Buffers worth reading, ``images``, ``failed`` and ``trace`` among them.
        class_count: The null class's label.
    """

    begin: tuple[Op, ...]
    steps: tuple[tuple[Op, ...], ...]
    end: tuple[Op, ...]
    request: Buffer
    shares: Buffer | None
    buffers: Buffers
    named: Mapping[str, Buffer]
    class_count: int

    @property
    def batch(self) -> int:
        """Samples of one run."""
        return self.request.shape[0] // 3

    @property
    def parts(self) -> tuple[tuple[Op, ...], ...]:
        """What can be captured on its own, in order."""
        return (self.begin, *self.steps, self.end)
