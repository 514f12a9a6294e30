"""What a MaskGIT backbone gives for the null class before the first step, computed once.

There all tokens are masked, so the null rows are the same for every image: an evaluation of the
first step needs the conditional rows alone.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from adagen_rt.sampling.loop import Arrays


class NullOnce:
    """A backbone of paired rows (2B, ...) that remembers its null row.

    Args:
        run: The backbone.
        mask_id: Token id of a masked position.
    """

    def __init__(self, run: Callable[[Arrays], Arrays], mask_id: int) -> None:
        self._run = run
        self._mask_id = mask_id
        self._null: Arrays | None = None

    def __call__(self, inputs: Arrays) -> Arrays:
        """Outputs by name, of the conditional rows and then of the null rows."""
        if (inputs["tokens"] != self._mask_id).any():
            return self._run(inputs)
        if self._null is None:
            last = self._run({name: array[-1:] for name, array in inputs.items()})
            self._null = {name: array.copy() for name, array in last.items()}
        rows = len(inputs["tokens"]) // 2
        given = self._run({name: array[:rows] for name, array in inputs.items()})
        return {
            name: np.concatenate([array, np.broadcast_to(self._null[name], array.shape)])
            for name, array in given.items()
        }
