"""What a policy put out, kept; and numbers played in its place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from adagen_rt.sampling.loop import Loop
from adagen_rt.sampling.memory import Memory
from adagen_rt.sampling.rule import State
from adagen_rt.types import Array, Arrays

#: A policy's output (calls, B, A) float32, before smoothing and activation; NaN for calls that a
#: sample did not need.
Outputs: TypeAlias = npt.NDArray[np.float32]


def no_outputs(loop: Loop, samples: int) -> Outputs:
    """Make the array that a recording fills."""
    width = len(loop.schedule.spec.actions)
    return np.full((loop.schedule.calls, samples, width), np.nan, np.float32)


@dataclass(kw_only=True)
class RecordedLoop(Loop):
    """A loop that keeps what its policy puts out.

    Attributes:
        outputs: Where it is kept, on the host.
        memory: Transfers between the host and the loop's arrays.
    """

    outputs: Outputs
    memory: Memory

    @classmethod
    def of(cls, loop: Loop, outputs: Outputs, memory: Memory) -> Any:
        """Make this form of a plain loop."""
        return cls(**vars(loop), outputs=outputs, memory=memory)

    def _ask(self, state: State, features: Arrays, call: Array) -> Array:
        raw = super()._ask(state, features, call)
        get = self.memory.get
        self.outputs[get(call), get(state.index)] = get(raw)
        return raw


class PlayedLoop(RecordedLoop):
    """A loop that plays outputs in the place of its policy's."""

    def _ask(self, state: State, features: Arrays, call: Array) -> Array:
        get = self.memory.get
        return self.memory.put(self.outputs[get(call), get(state.index)])
