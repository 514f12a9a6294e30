"""Inference-time refinement: several actions are tried at every policy call, the best is kept.

The paper (AdaGen, arXiv 2603.06993) names the mechanism without its equations; this is our
reading. The first of K candidates is the policy's output itself; the others have noise added to
it. Each candidate takes a step, and the backbone evaluates the new state. The critic, which was
trained to predict the reward from the policy's inputs at a call, then scores each candidate. The
winner's evaluation is used for the next step, so that K candidates cost at most K times the
backbone rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from array_api_compat import array_namespace, device

from adagen_rt.ops.noise import normals
from adagen_rt.ops.philox import Purpose
from adagen_rt.sampling.loop import Decision, Loop, Network
from adagen_rt.sampling.rule import State
from adagen_rt.types import Array, Arrays


@dataclass(frozen=True)
class Refinement:
    """Settings of refinement.

    Attributes:
        count: Candidates at a call, K.
        std: Standard deviation of their noise, in units of the policy's raw output.
        critic: Predicts the reward (B,) from the policy's inputs at a call.
    """

    count: int
    std: float
    critic: Network


@dataclass(kw_only=True)
class RefinedLoop(Loop):
    """A loop that looks one evaluation ahead.

    Only a candidate that goes on is scored. Where the policy's own candidate has finished, as at
    the last step, it is kept without a comparison. Another candidate that has finished early, or
    that met a non-finite number, is dropped.

    Attributes:
        refinement: Settings of refinement.
    """

    refinement: Refinement
    #: The last state, and the evaluation of its slots that go on. Any other state is evaluated
    #: again, so that a caller may hold several states.
    _ahead: tuple[State, Arrays] | None = field(default=None, init=False)

    @classmethod
    def of(cls, loop: Loop, refinement: Refinement) -> RefinedLoop:
        """Make the refined form of a loop."""
        return cls(**vars(loop), refinement=refinement)

    def split(self, state: State) -> tuple[State, State]:
        """Split the slots into those that are done or have failed, and those that go on."""
        ended, rest = super().split(state)
        if self._ahead is not None and self._ahead[0] is state:
            self._ahead = rest, self._ahead[1]
        return ended, rest

    def _evaluate(self, state: State) -> Arrays:
        if self._ahead is not None and self._ahead[0] is state:
            outputs = self._ahead[1]
            # Before a split, a state may have slots without an evaluation.
            if outputs["features"].shape[0] == state.condition.copies * len(state):
                return outputs
        return super()._evaluate(state)

    def _move(
        self, state: State, raw: Array, call: Array, outputs: Arrays | None
    ) -> tuple[State, Decision]:
        xp = array_namespace(call)
        last = bool(xp.all(call == self.schedule.calls - 1))
        if self.refinement.count == 1 or last:
            return super()._move(state, raw, call, outputs)
        rows = xp.arange(len(state) * self.refinement.count, device=device(call))
        rows = rows // self.refinement.count
        raw = xp.take(raw, rows, axis=0) + self._noise(state.seeds, call, raw.shape[1])
        if outputs is not None:
            outputs = self.rule.take_outputs(state, outputs, rows)
        tried, decision = super()._move(state.take(rows), raw, xp.take(call, rows), outputs)
        runs = ~(self.rule.finished(tried) | tried.failed)
        place = xp.cumulative_sum(xp.astype(runs, xp.int64)) - 1  # among those that run
        outputs, value = self._look_ahead(tried, xp.nonzero(runs)[0], decision.call + 1)
        best = self._best(tried, runs, xp.take(value, xp.clip(place, 0, None)))
        chosen = tried.take(best)
        if outputs is not None:
            kept = xp.take(place, best)[xp.take(runs, best)]
            self._ahead = chosen, self.rule.take_outputs(chosen, outputs, kept)
        return chosen, decision.take(best)

    def _noise(self, seeds: Array, call: Array, width: int) -> Array:
        """Draw the noise on the raw output of each candidate (B * K, A); 0 for the first.

        Candidates share all other noise of their sample, so that only their actions differ.
        """
        xp = array_namespace(seeds)
        count = self.refinement.count
        flat = normals(seeds, call, Purpose.ACTION, (count - 1) * width)
        others = self.refinement.std * xp.reshape(flat, (-1, count - 1, width))
        own = xp.zeros_like(others[:, :1, :])
        return xp.reshape(xp.concat([own, others], axis=1), (-1, width))

    def _look_ahead(self, tried: State, rows: Array, call: Array) -> tuple[Arrays | None, Array]:
        """Evaluate and score the candidates that go on, at ``rows``."""
        xp = array_namespace(rows)
        if not rows.shape[0]:
            return None, xp.zeros(1, dtype=xp.float32, device=device(rows))
        rest = tried if rows.shape[0] == len(tried) else tried.take(rows)
        outputs = self._evaluate(rest)
        with self.timings.measure("critic"):
            seen = self.rule.features(rest, outputs)
            return outputs, self.refinement.critic(seen, xp.take(call, rows))

    def _best(self, tried: State, runs: Array, value: Array) -> Array:
        """Return the rows (B,) of the best candidates; of equal ones, the first wins."""
        xp = array_namespace(value)
        count = self.refinement.count
        score = xp.where(runs & ~xp.isnan(value), value, -xp.inf)
        table, ended = (xp.reshape(x, (-1, count)) for x in (score, ~runs & ~tried.failed))
        better = (xp.max(table, axis=1) > table[:, 0]) & ~ended[:, 0]
        best = xp.where(better, xp.argmax(table, axis=1), 0)
        return best + xp.arange(best.shape[0], device=device(value)) * count
