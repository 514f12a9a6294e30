"""The logs of training runs."""

from __future__ import annotations

import csv
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self


class CsvLog:
    """A CSV file that grows a line at a time; its first column counts upwards.

    Args:
        path: The file.
        fields: Its columns.
        keep_until: Lines of an earlier run up to this count are kept.
    """

    def __init__(self, path: Path, fields: tuple[str, ...], keep_until: int) -> None:
        rows = list(_read_rows(path, keep_until))
        self.fields = fields
        self.file = path.open("w", newline="", encoding="utf-8")
        self.writer = csv.writer(self.file)
        self.writer.writerow(fields)
        self.writer.writerows(rows)

    def write(self, values: Mapping[str, object]) -> None:
        """Add a line; columns without a value stay empty."""
        self.writer.writerow([values.get(field, "") for field in self.fields])
        self.file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()


class LossLog(CsvLog):
    """A line every so many steps: the mean loss since the last one, and more.

    Args:
        path: The file.
        keep_until: Lines of an earlier run up to this step are kept.
    """

    EVERY = 20
    FIELDS = ("step", "loss", "learning_rate", "images_per_second")

    def __init__(self, path: Path, keep_until: int) -> None:
        super().__init__(path, self.FIELDS, keep_until)
        self.losses: list[float] = []
        self.since = time.monotonic()
        self.speed = 0.0

    def add(self, step: int, loss: float, rate: float, batch: int) -> float:
        """Note a step; return the images per second of the last complete interval."""
        self.losses.append(loss)
        if step % self.EVERY == 0:
            elapsed = time.monotonic() - self.since
            self.speed = len(self.losses) * batch / elapsed
            mean = sum(self.losses) / len(self.losses)
            line = (step, f"{mean:.6f}", f"{rate:.3e}", f"{self.speed:.1f}")
            self.write(dict(zip(self.FIELDS, line, strict=True)))
            self.losses, self.since = [], time.monotonic()
        return self.speed


def _read_rows(path: Path, until: int) -> Iterator[list[str]]:
    """Yield the lines of an earlier log up to a step; none for a run that starts afresh."""
    if until == 0 or not path.is_file():
        return
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.reader(file):
            if row[0].isdigit() and int(row[0]) <= until:
                yield row
