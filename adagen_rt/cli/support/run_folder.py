"""What a training run writes, and what becomes of an earlier run there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from adagen_rt.errors import InputError
from adagen_rt.training.records import CHECKPOINT, LOG

#: What a training loop keeps in its folder.
RECORDS = (CHECKPOINT, LOG)


@dataclass(frozen=True)
class RunFolder:
    """The files of a run.

    Attributes:
        folder: The run's folder.
        names: Files that the run writes, relative to the folder.
        resume: Whether an earlier run goes on.
        overwrite: Whether an earlier run may be lost.

    Raises:
        InputError: Files are there, and neither was asked for.
    """

    folder: Path
    names: tuple[str, ...]
    resume: bool
    overwrite: bool

    def __post_init__(self) -> None:
        if self.resume and self.overwrite:
            raise InputError("--resume", "with --overwrite", "one of them")
        found = self._found()
        if found and not (self.resume or self.overwrite):
            expected = f"--resume or --overwrite, or another folder: {found[0]} is there"
            raise InputError("--out", str(self.folder), expected)

    def clear(self) -> None:
        """Remove an earlier run, so that `--resume` can never go on from it."""
        if self.resume:
            return
        for path in self._found():
            path.unlink()
            for picture in path.parent.glob("samples_*.png"):
                picture.unlink()

    def _found(self) -> list[Path]:
        paths = [self.folder / name for name in self.names]
        return [path for path in paths if path.exists() or path.is_symlink()]


def records(part: str) -> tuple[str, ...]:
    """Name the records of a loop that has a subfolder of its own."""
    return tuple(f"{part}/{name}" for name in RECORDS)
