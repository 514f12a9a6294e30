"""The log of a training run."""

from __future__ import annotations

import csv
import time
from collections.abc import Iterator
from pathlib import Path


class LossLog:
    """A CSV file with a line every so many steps: the mean loss since the last one, and more.

    Args:
        path: The file.
        keep_until: Lines of an earlier run up to this step are kept.
    """

    EVERY = 20
    FIELDS = ("step", "loss", "learning_rate", "images_per_second")

    def __init__(self, path: Path, keep_until: int) -> None:
        rows = list(_read_rows(path, keep_until))
        self.file = path.open("w", newline="")
        self.writer = csv.writer(self.file)
        self.writer.writerow(self.FIELDS)
        self.writer.writerows(rows)
        self.losses: list[float] = []
        self.since = time.monotonic()
        self.speed = 0.0

    def add(self, step: int, loss: float, rate: float, batch: int) -> float:
        """Notes a step; returns the images per second of the last complete interval."""
        self.losses.append(loss)
        if step % self.EVERY == 0:
            elapsed = time.monotonic() - self.since
            self.speed = len(self.losses) * batch / elapsed
            mean = sum(self.losses) / len(self.losses)
            self.writer.writerow((step, f"{mean:.6f}", f"{rate:.3e}", f"{self.speed:.1f}"))
            self.file.flush()
            self.losses, self.since = [], time.monotonic()
        return self.speed

    def __enter__(self) -> LossLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()


def _read_rows(path: Path, until: int) -> Iterator[list[str]]:
    """The lines of an earlier log up to a step; none for a run that starts afresh."""
    if until == 0 or not path.is_file():
        return
    with path.open(newline="") as file:
        for row in csv.reader(file):
            if row[0].isdigit() and int(row[0]) <= until:
                yield row
