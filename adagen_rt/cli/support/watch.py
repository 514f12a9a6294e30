"""Progress bar and previews of a generation."""

from __future__ import annotations

import sys
from pathlib import Path
from types import TracebackType

import numpy as np
from tqdm import tqdm

from adagen_rt.sampling.pictures import save_grid
from adagen_rt.sampling.result import Images, Step

#: Samples shown by a preview.
PREVIEW_SAMPLES = 8
#: Largest number of steps in a preview; of more steps, evenly spaced ones are shown.
PREVIEW_STEPS = 64


class Preview:
    """Pictures of the first samples after each step.

    Args:
        wanted: Whether a preview was asked for; it decodes at every step, which takes time.
        steps: Steps of a full generation.
    """

    def __init__(self, wanted: bool, steps: int) -> None:
        self._wanted = wanted
        self._stride = -(-steps // PREVIEW_STEPS)
        self._batches = 0
        self._columns: list[Images] = []

    def add(self, step: Step) -> None:
        """Keep a step of the first batch."""
        self._batches += step.number == 1
        due = step.number % self._stride == 0 or not len(step.running)
        if self._wanted and self._batches == 1 and due:
            self._columns.append(step.preview()[:PREVIEW_SAMPLES])

    def save(self, path: Path) -> None:
        """Write a row for each sample, a column for each step."""
        columns = np.stack(self._columns, axis=1)
        save_grid(path, columns.reshape(-1, *columns.shape[2:]), columns.shape[1])


class ProgressBar:
    """A bar over the steps of all samples, on stderr.

    Args:
        total: Samples times steps.
        quiet: Whether to show nothing; without a terminal on stderr, nothing is shown either.
    """

    def __init__(self, total: int, quiet: bool) -> None:
        hidden = quiet or not sys.stderr.isatty()
        self._bar = tqdm(total=total, unit="step", disable=hidden, leave=False)

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()

    def add(self, step: Step) -> None:
        """Advance the bar by one step of a batch."""
        self._bar.update(step.advanced)
