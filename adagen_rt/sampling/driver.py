"""Drive a loop to its end; only here, samples are started, stepped and dropped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from adagen_rt.sampling.loop import Decision, Loop
from adagen_rt.sampling.rule import State
from adagen_rt.types import Array, Arrays


@dataclass(frozen=True)
class Stepped:
    """Outcome of one step of a batch.

    Attributes:
        number: Steps done so far, 1 for the first.
        decisions: The policy's decisions since the last step.
        ended: Slots that are done or have failed; they are not computed again.
        running: Slots that go on.
    """

    number: int
    decisions: tuple[Decision, ...]
    ended: State
    running: State


def drive(loop: Loop, index: Array, rows: Arrays, seeds: Array) -> Iterator[Stepped]:
    """Run one batch to its end, and yield after every step.

    The caller records: previews, traces and rollouts keep the parts of each step that they need.

    Args:
        loop: The loop.
        index: Place of each sample in the request (B,) int64.
        rows: Conditions of the samples, named arrays (B, ...).
        seeds: Seeds (B,) int64, not negative.
    """
    state, decisions = loop.start(index, rows, seeds)
    number = 0
    while state.index.shape[0]:
        number += 1
        stepped, decision = loop.step(state)
        ended, state = loop.split(stepped)
        yield Stepped(number, (*decisions, decision), ended, state)
        decisions = []
