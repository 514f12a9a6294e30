"""The adaptive loop: observe, run, decide, advance.

One loop serves the command line, the server and the trainer. Graphs are plain callables
here, so that a PyTorch module can take the place of an ONNX graph.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from array_api_compat import array_namespace, device

from adagen_rt.condition import Conditioner
from adagen_rt.engine.schedule import Schedule
from adagen_rt.sampling.rule import State, StepRule
from adagen_rt.types import Array, Arrays, Run

#: Maps a family's features and the index of the policy call (B,) to numbers for every sample.
Network = Callable[[Arrays, Array], Array]


@dataclass
class Timings:
    """Seconds spent in each part of a generation, and the number of backbone rows."""

    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    backbone_rows: int = 0

    @contextmanager
    def measure(self, part: str) -> Iterator[None]:
        """Add the time of the block to ``part``."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[part] += time.perf_counter() - begin


@dataclass(frozen=True)
class Decision:
    """Actions of one policy call.

    Attributes:
        index: Place of each sample in the request (B,).
        call: Index of the policy call of each sample (B,).
        actions: The actions by name, each (B,) float32.
    """

    index: Array
    call: Array
    actions: Arrays

    def take(self, rows: Array) -> Decision:
        """Select the decisions for the samples at ``rows`` (int64)."""
        xp = array_namespace(rows)
        actions = {name: xp.take(values, rows) for name, values in self.actions.items()}
        return Decision(xp.take(self.index, rows), xp.take(self.call, rows), actions)


@dataclass(frozen=True)
class Fidelity:
    """A second policy, and its share for each sample.

    Attributes:
        policy: The policy trained for fidelity.
        share: Share of that policy, 0 to 1, by a sample's place in the request (N,) float32.
    """

    policy: Network
    share: Array

    def blend(self, raw: Array, index: Array, features: Arrays, call: Array) -> Array:
        """Move the first policy's output (B, A) towards the second's."""
        xp = array_namespace(raw)
        share = xp.take(self.share, index)[:, None]
        blended = (1 - share) * raw + share * self.policy(features, call)
        # The second policy's output for a sample with share 0 may not be finite.
        return xp.where(share > 0, blended, raw)


@dataclass
class Loop:
    """Advances slots by one step at a time.

    Attributes:
        rule: The family's step rule.
        schedule: Residuals, smoothing and activations at the rule's number of steps.
        conditioner: Makes the backbone's inputs that follow from a sample's condition.
        backbone: Maps the rule's inputs to ``logits`` or ``prediction``, and ``features``.
        policy: Computes the raw output (B, A).
        fidelity: A second policy to blend with, if any sample follows it.
        timings: Seconds by part.
    """

    rule: StepRule[Any]
    schedule: Schedule
    conditioner: Conditioner
    backbone: Run
    policy: Network
    fidelity: Fidelity | None = None
    timings: Timings = field(default_factory=Timings)

    def start(self, index: Array, rows: Arrays, seeds: Array) -> tuple[State, list[Decision]]:
        """Make fresh slots, and the decision before the first evaluation, if there is one.

        Args:
            index: Place of each sample in the request (B,) int64.
            rows: Conditions of the samples, named arrays (B, ...).
            seeds: Seeds (B,) int64, not negative.
        """
        xp, count, where = array_namespace(seeds), seeds.shape[0], device(seeds)
        width = len(self.schedule.spec.actions)
        with self.timings.measure("sampling"):
            blank = State(
                index=index,
                condition=self.conditioner(rows),
                seeds=seeds,
                step=xp.zeros_like(seeds),
                smoothed=xp.zeros((count, width), dtype=xp.float32, device=where),
                failed=xp.zeros(count, dtype=xp.bool, device=where),
            )
            state = self.rule.start(blank)
        features = self.rule.prologue(state)
        if features is None:
            return state, []
        raw = self._ask(state, features, state.step)
        state, decision = self._move(state, raw, state.step, None)
        return state, [decision]

    def step(self, state: State) -> tuple[State, Decision]:
        """Make one backbone evaluation, one decision and one step of the rule."""
        return self._decide(state, self._evaluate(state))

    def _decide(self, state: State, outputs: Arrays) -> tuple[State, Decision]:
        """Ask the policy about the outputs of an evaluation, and make a step of the rule."""
        call = state.step + (self.schedule.calls - self.rule.steps)
        raw = self._ask(state, self.rule.features(state, outputs), call)
        return self._move(state, raw, call, outputs)

    def _evaluate(self, state: State) -> Arrays:
        self.timings.backbone_rows += state.condition.copies * state.index.shape[0]
        with self.timings.measure("backbone"):
            return self.backbone(self.rule.observe(state))

    def _ask(self, state: State, features: Arrays, call: Array) -> Array:
        with self.timings.measure("policy"):
            raw = self.policy(features, call)
            if self.fidelity is None:
                return raw
            return self.fidelity.blend(raw, state.index, features, call)

    def _move(
        self, state: State, raw: Array, call: Array, outputs: Arrays | None
    ) -> tuple[State, Decision]:
        """Apply the actions of ``raw``; ``outputs`` is None before the first evaluation."""
        xp = array_namespace(call)
        with self.timings.measure("policy"):
            actions, smoothed = self.schedule.decide(raw, call, state.smoothed)
        failed = state.failed | ~xp.all(xp.isfinite(smoothed), axis=1)
        state = replace(state, smoothed=smoothed, failed=failed)
        with self.timings.measure("sampling"):
            if outputs is None:
                state = self.rule.begin(state, actions)
            else:
                state = self.rule.advance(state, outputs, actions)
        return state, Decision(state.index, call, actions)

    def split(self, state: State) -> tuple[State, State]:
        """Split the slots into those that are done or have failed, and those that go on."""
        xp = array_namespace(state.index)
        ended = self.rule.finished(state) | state.failed
        gone, rest = xp.nonzero(ended)[0], xp.nonzero(~ended)[0]
        # Most steps end no slot or all slots, and copying a state may copy a large cache.
        return (
            state.take(gone) if rest.shape[0] else state,
            state.take(rest) if gone.shape[0] else state,
        )
