"""A MaskGIT backbone that computes its null row of the first step once.

At the first step all tokens are masked, so that the null rows are the same for every image. An
evaluation of it needs only the conditional rows.
"""

from __future__ import annotations

from array_api_compat import array_namespace

from adagen_rt.condition import take_rows
from adagen_rt.types import Arrays, Run


class NullOnce:
    """A backbone of paired rows (2B, ...) that remembers its null row.

    Args:
        run: The backbone.
        mask_id: Token id of a masked position.
    """

    def __init__(self, run: Run, mask_id: int) -> None:
        self._run = run
        self._mask_id = mask_id
        self._null: Arrays | None = None

    def __call__(self, inputs: Arrays) -> Arrays:
        """Compute the outputs by name: conditional rows, then null rows."""
        tokens = inputs["tokens"]
        xp = array_namespace(tokens)
        if bool(xp.any(tokens != self._mask_id)):
            return self._run(inputs)
        rows = tokens.shape[0] // 2
        if self._null is None:
            last = self._run(take_rows(inputs, slice(2 * rows - 1, 2 * rows)))
            self._null = {name: xp.asarray(array, copy=True) for name, array in last.items()}
        given = self._run(take_rows(inputs, slice(0, rows)))
        return {
            name: xp.concat([array, xp.broadcast_to(self._null[name], array.shape)])
            for name, array in given.items()
        }
