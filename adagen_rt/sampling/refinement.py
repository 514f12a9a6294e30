"""Inference-time refinement: several actions are tried at every policy call, the best is kept.

The paper (AdaGen, arXiv 2603.06993) names the mechanism without its equations; this is our
reading. Of K candidates around the policy's output, the first is the output itself. Each is
advanced, the backbone evaluates what came of it, and the critic, which was trained to predict
the reward from what the policy sees at a call, says how well each will end. The winner's
evaluation is the next step's, so that K candidates cost at most K times the backbone rows.
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
    """How to refine.

    Attributes:
        count: Candidates at a call, K.
        std: Standard deviation of their noise, in units of the policy's raw output.
        critic: Gives the value (B,) of going on from what is seen at a call.
    """

    count: int
    std: float
    critic: Network


@dataclass(kw_only=True)
class RefinedLoop(Loop):
    """A loop that looks one evaluation ahead.

    A candidate is scored where it goes on. Where the policy's own candidate has finished, as
    all have at the last step, there is nothing to compare and it stands; another that has
    finished early is out, and so is one that met a non-finite number.

    Attributes:
        refinement: How to refine.
    """

    refinement: Refinement
    #: A state that was made, and the evaluation of those of its slots that go on. Any other
    #: state is evaluated afresh, so that a caller may hold as many as he likes.
    _ahead: tuple[State, Arrays] | None = field(default=None, init=False)

    @classmethod
    def of(cls, loop: Loop, refinement: Refinement) -> RefinedLoop:
        """The same loop, refined."""
        return cls(**vars(loop), refinement=refinement)

    def split(self, state: State) -> tuple[State, State]:
        """The slots that are done or have failed, and those that go on."""
        ended, rest = super().split(state)
        if self._ahead is not None and self._ahead[0] is state:
            self._ahead = rest, self._ahead[1]
        return ended, rest

    def _evaluate(self, state: State) -> Arrays:
        if self._ahead is not None and self._ahead[0] is state:
            outputs = self._ahead[1]
            # A state that was not split may have slots that were not evaluated.
            if outputs["features"].shape[0] == 2 * len(state):
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
            outputs = self.rule.take_outputs(outputs, rows)
        tried, decision = super()._move(state.take(rows), raw, xp.take(call, rows), outputs)
        runs = ~(self.rule.finished(tried) | tried.failed)
        place = xp.cumulative_sum(xp.astype(runs, xp.int64)) - 1  # among those that run
        outputs, value = self._look_ahead(tried, xp.nonzero(runs)[0], decision.call + 1)
        best = self._best(tried, runs, xp.take(value, xp.clip(place, 0, None)))
        chosen = tried.take(best)
        if outputs is not None:
            kept = xp.take(place, best)[xp.take(runs, best)]
            self._ahead = chosen, self.rule.take_outputs(outputs, kept)
        return chosen, decision.take(best)

    def _noise(self, seeds: Array, call: Array, width: int) -> Array:
        """What is added to the raw output of each candidate (B * K, A); nothing to the first.

        Candidates share all other noise of their sample: they differ by their action alone.
        """
        xp = array_namespace(seeds)
        count = self.refinement.count
        flat = normals(seeds, call, Purpose.ACTION, (count - 1) * width)
        others = self.refinement.std * xp.reshape(flat, (-1, count - 1, width))
        own = xp.zeros_like(others[:, :1, :])
        return xp.reshape(xp.concat([own, others], axis=1), (-1, width))

    def _look_ahead(self, tried: State, rows: Array, call: Array) -> tuple[Arrays | None, Array]:
        """Evaluation and value of the candidates at ``rows``, those that go on."""
        xp = array_namespace(rows)
        if not rows.shape[0]:
            return None, xp.zeros(1, dtype=xp.float32, device=device(rows))
        rest = tried if rows.shape[0] == len(tried) else tried.take(rows)
        outputs = self._evaluate(rest)
        with self.timings.measure("critic"):
            seen = self.rule.features(rest, outputs)
            return outputs, self.refinement.critic(seen, xp.take(call, rows))

    def _best(self, tried: State, runs: Array, value: Array) -> Array:
        """Rows (B,) of the best candidates; the first wins where nothing is better."""
        xp = array_namespace(value)
        count = self.refinement.count
        score = xp.where(runs & ~xp.isnan(value), value, -xp.inf)
        table, ended = (xp.reshape(x, (-1, count)) for x in (score, ~runs & ~tried.failed))
        better = (xp.max(table, axis=1) > table[:, 0]) & ~ended[:, 0]
        best = xp.where(better, xp.argmax(table, axis=1), 0)
        return best + xp.arange(best.shape[0], device=device(value)) * count
