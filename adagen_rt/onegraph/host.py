"""A host of the form `step`, as small as one can be: it checks the models before they appear."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from adagen_rt.backends.onnxruntime.session import OnnxRuntime
from adagen_rt.onegraph.apart import NEXT
from adagen_rt.types import Arrays, Session

NAMES = ("start", "step", "decode")
#: Samples under way at once, no two of which were started together.
PLACES = 3


class StepHost:
    """Generates samples that join and leave a batch one by one.

    Args:
        folder: The three models.
        threads: CPU threads.
    """

    def __init__(self, folder: Path, threads: int) -> None:
        load = OnnxRuntime(threads).load
        self._start, self._step, self._decode = (load(folder / f"{name}.onnx") for name in NAMES)

    def run(self, inputs: Arrays) -> Arrays:
        """Generate.

        Args:
            inputs: Those of ``start``, arrays (B, ...) by name.

        Returns:
            ``images`` (B, height, width, channels) uint8 and ``failed`` (B,) int64.
        """
        waiting = list(range(len(inputs["seeds"])))
        places: list[int] = []
        state: Arrays = {}
        ended: dict[int, Arrays] = {}
        while waiting or places:
            if waiting and len(places) < PLACES:
                places.append(waiting.pop(0))
                state = _join(state, self.begin(_take(inputs, [places[-1]])))
            state |= self.step(state)
            done = state["done"]
            for row in np.flatnonzero(done):
                ended[places[row]] = self.end(_take(state, [row]))
            goes_on = np.flatnonzero(~done)
            places, state = [places[row] for row in goes_on], _take(state, goes_on)
        parts = [ended[place] for place in sorted(ended)]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def begin(self, inputs: Arrays) -> Arrays:
        """Start samples: return their state, and ``actions`` if there are any."""
        return _as_state(_run(self._start, inputs))

    def step(self, state: Arrays) -> Arrays:
        """Make a step: return what changed of the state, ``actions`` and ``done``."""
        return _as_state(_run(self._step, state))

    def end(self, state: Arrays) -> Arrays:
        """Decode samples, done or not: return ``images`` and ``failed``."""
        return {**_run(self._decode, state), "failed": state["failed"]}


def _run(session: Session, state: Arrays) -> Arrays:
    """Run a model on what it reads of a state; sessions keep their outputs' memory."""
    return {name: np.array(array) for name, array in session.run(state).items()}


def _take(arrays: Arrays, rows: object) -> Arrays:
    return {name: array[rows] for name, array in arrays.items()}


def _join(first: Arrays, second: Arrays) -> Arrays:
    if not first:
        return second
    common = first.keys() & second.keys()
    return {name: np.concatenate([first[name], second[name]]) for name in common}


def _as_state(outputs: Arrays) -> Arrays:
    return {name.removeprefix(NEXT): array for name, array in outputs.items()}
