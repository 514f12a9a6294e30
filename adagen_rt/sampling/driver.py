"""Drive a loop to its end: the one place where samples are started, stepped and let go."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from adagen_rt.sampling.loop import Decision, Loop
from adagen_rt.sampling.rule import State
from adagen_rt.types import Array, Arrays


@dataclass(frozen=True)
class Stepped:
    """What one step of a batch did.

    Attributes:
        number: Steps done so far, 1 for the first.
        decisions: What the policy chose since the last step.
        ended: Slots that are done or have failed; they cost nothing more.
        running: Slots that go on.
    """

    number: int
    decisions: tuple[Decision, ...]
    ended: State
    running: State


def drive(loop: Loop, index: Array, rows: Arrays, seeds: Array) -> Iterator[Stepped]:
    """Run one batch to its end, and yield after every step.

    Whoever iterates is the recorder: previews, traces and rollouts keep what they need of each
    step.

    Args:
        loop: The loop.
        index: Place of each sample in the request (B,) int64.
        rows: What each sample is conditioned on, named arrays (B, ...).
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
