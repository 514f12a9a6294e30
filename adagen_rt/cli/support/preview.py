"""Pictures of the first samples after each step."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from adagen_rt.files import replace_file
from adagen_rt.sampling.captions import caption_of, enlarge, with_captions
from adagen_rt.sampling.encoding import write_frames
from adagen_rt.sampling.formats import STEPS
from adagen_rt.sampling.origin import Facts
from adagen_rt.sampling.pictures import join_grid, to_grid
from adagen_rt.sampling.result import Images, Step
from adagen_rt.sampling.saving import save_picture

#: Samples shown by a preview.
PREVIEW_SAMPLES = 8
#: Steps shown by a preview; of more, evenly spaced ones.
PREVIEW_STEPS = 64
#: Samples beside each other in a picture that moves.
MOVING_COLUMNS = 4
#: Milliseconds that a step is shown, and the last one.
SHORT, LONG = 250, 2000


class Preview:
    """Pictures of the first samples after each step.

    Args:
        wanted: Whether a preview was asked for; it decodes at every step, which takes time.
        steps: Steps of a full generation.
    """

    def __init__(self, wanted: bool, steps: int) -> None:
        self._wanted = wanted
        self._steps = steps
        self._stride = -(-steps // PREVIEW_STEPS)
        self._batches = 0
        self._columns: list[Images] = []
        self._numbers: list[int] = []

    def add(self, step: Step) -> None:
        """Keep a step of the first batch."""
        self._batches += step.number == 1
        due = step.number % self._stride == 0 or not len(step.running)
        if self._wanted and self._batches == 1 and due:
            self._columns.append(step.preview()[:PREVIEW_SAMPLES])
            self._numbers.append(step.number)

    def save(self, path: Path, facts: Facts, captions: bool) -> None:
        """Write what was kept, in the format that the name ends with.

        Args:
            path: A .png has a row for each sample and a column for each step; others move.
            facts: How the samples were made.
            captions: Whether each image has its class and step.
        """
        shown = facts | {"samples": facts["samples"][:PREVIEW_SAMPLES]}
        columns = [
            self._captioned(i, shown) if captions else c for i, c in enumerate(self._columns)
        ]
        kind = STEPS[path.suffix.lower()]
        if kind != "png":
            _save_moving(path, kind, columns, shown)
            return
        stacked = np.stack(columns, axis=1)
        grid = join_grid(stacked.reshape(-1, *stacked.shape[2:]), stacked.shape[1])
        save_picture(path, grid, shown)

    def _captioned(self, place: int, facts: Facts) -> Images:
        """The images after one step, each with its class and that step."""
        step = f"step {self._numbers[place]} of {self._steps}"
        captions = [(caption_of(sample)[0], step) for sample in facts["samples"]]
        return with_captions(self._columns[place], captions)


def _save_moving(path: Path, kind: str, columns: list[Images], facts: Facts) -> None:
    """Write a frame for each step."""
    frames = [to_grid(enlarge(images), min(MOVING_COLUMNS, len(images))) for images in columns]
    shown = [SHORT] * (len(frames) - 1) + [LONG]
    replace_file(path, lambda temporary: write_frames(temporary, frames, shown, kind, facts))
