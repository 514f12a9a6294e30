"""Output files of `generate`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from adagen_rt.cli.support.formats import NamedPath
from adagen_rt.cli.support.plots import check_plot, save_plot, schedule_title
from adagen_rt.cli.support.preview import PREVIEW_SAMPLES, PREVIEW_STEPS, Preview
from adagen_rt.cli.support.report import save_trace
from adagen_rt.cli.support.resume import pictures_in
from adagen_rt.engine.manifest import Manifest
from adagen_rt.engine.sections import ImageSpec
from adagen_rt.errors import InputError
from adagen_rt.files import check_writable
from adagen_rt.sampling.facts import file_facts, is_ours
from adagen_rt.sampling.formats import STEPS, check_suffix
from adagen_rt.sampling.pictures import check_grid, is_folder
from adagen_rt.sampling.result import Result
from adagen_rt.sampling.saving import KINDS, check_target, save_folder, save_images

Command = TypeVar("Command", bound=Callable[..., Any])

#: Every option, in the order of the help.
OPTIONS = (
    click.option(
        "--out",
        type=NamedPath(),
        default=Path("out.png"),
        show_default=True,
        help="A name ending .png, .jpg or .webp (one grid) or .npz (arrays of images, classes, "
        "seeds), or a folder (one picture an image, written as each batch is made).",
    ),
    click.option(
        "--format",
        "kind",
        type=click.Choice(KINDS),
        help="Format of the pictures in a folder; default: png.",
    ),
    click.option(
        "--preview",
        type=NamedPath(),
        help="The first samples after each step: a .png grid, or a .gif or .webp that moves.",
    ),
    click.option(
        "--plot", type=NamedPath(), help="Every action over the steps: .png, .svg or .pdf."
    ),
    click.option("--trace", type=NamedPath(), help="JSON of what was chosen for each image."),
    click.option(
        "--labels",
        "captions",
        is_flag=True,
        help="Write class and seed under each image of a grid or preview.",
    ),
    click.option(
        "--overwrite",
        is_flag=True,
        help="Write into a folder that has pictures, and over files that adagen-rt did not write.",
    ),
    click.option(
        "--resume", is_flag=True, help="Make only the images that the folder does not have yet."
    ),
)


@dataclass(frozen=True)
class Outputs:
    """Where things go, and what lies there.

    Attributes:
        out: The images.
        kind: Format of the pictures in a folder.
        preview: The samples after each step.
        plot: The schedules, drawn.
        trace: The schedules, as numbers.
        captions: Whether images have words under them.
        overwrite: Whether to write over what others made.
        resume: Whether to go on with what an interrupted run left.
        files: The images' files that have been written.
    """

    out: Path
    kind: str | None
    preview: Path | None
    plot: Path | None
    trace: Path | None
    captions: bool
    overwrite: bool
    resume: bool
    files: list[Path] = field(default_factory=list)

    @property
    def in_folder(self) -> bool:
        """Whether each image has a file."""
        return is_folder(self.out)

    @property
    def suffix(self) -> str:
        """How the names of pictures in a folder end."""
        return f".{self.kind or KINDS[0]}"

    @property
    def extras(self) -> dict[str, Path]:
        """What is written beside the images, by the options' names."""
        named = {"preview": self.preview, "plot": self.plot, "trace": self.trace}
        return {name: path for name, path in named.items() if path is not None}

    def check(self, count: int, steps: int, image: ImageSpec, words: int = 0) -> None:
        """Refuse paths that could not be written later; arguments as for `check_target`.

        Raises:
            InputError: A path is unusable, given twice, or has what would be lost.
            MissingExtraError: The plot needs a library that is not installed.
        """
        check_target("out", self.out, count, image.size.area, self.kind, words)
        self._check_resume()
        if self.preview:
            check_suffix("preview", self.preview, STEPS)
            shown = min(count, PREVIEW_SAMPLES) * min(steps, PREVIEW_STEPS)
            check_grid("preview", shown, image.size.area)
        check_plot(self.plot)
        taken = {self.out.absolute()}
        for name, path in self.extras.items():
            check_writable(name, path)
            if path.absolute() in taken:
                raise InputError(name, str(path), "a name of its own")
            taken.add(path.absolute())
        if not self.overwrite:
            self._check_losses()

    def add(self, result: Result, total: int) -> list[Path]:
        """Write a batch of a run of so many images, where each image has a file."""
        if not self.in_folder or not result.good:
            return []
        files = save_folder(self.out, result, total, self.suffix)
        self.files.extend(files)
        return files

    def save(
        self, manifest: Manifest, result: Result, preview: Preview
    ) -> tuple[list[Path], list[Path]]:
        """Write everything that was asked for, but no failed sample.

        Args:
            manifest: The engine's.
            result: The images; where each has a file, they are written already.
            preview: Pictures of the first.

        Returns:
            The files written, and a shorter list that names a folder of images once.
        """
        if result.good and not self.in_folder:
            self.files.extend(save_images(self.out, result, captions=self.captions))
        if self.preview:
            facts = file_facts(result, range(min(PREVIEW_SAMPLES, len(result))))
            preview.save(self.preview, facts, self.captions)
        if self.plot:
            title, steps = schedule_title(manifest, result), result.origin.facts["steps"]
            save_plot(self.plot, manifest.schedule, steps, result.schedule, title)
        if self.trace:
            save_trace(self.trace, result)
        extras = list(self.extras.values())
        return [*self.files, *extras], [*([self.out] if self.files else []), *extras]

    def _check_resume(self) -> None:
        if not self.resume:
            return
        if not self.in_folder:
            raise InputError("resume", str(self.out), "a folder as --out")
        for name, path in self.extras.items():
            raise InputError(name, str(path), "no --resume: it would show the new images alone")

    def _check_losses(self) -> None:
        """Refuse to write over what others made, or to mix images with others."""
        if self.in_folder and not self.resume and (others := pictures_in(self.out)):
            expected = f"--resume or --overwrite, for it has {len(others)} pictures"
            raise InputError("out", str(self.out), expected)
        files = self.extras if self.in_folder else {"out": self.out, **self.extras}
        for name, path in files.items():
            if path.exists() and not is_ours(path):
                expected = "--overwrite, for adagen-rt did not write that file"
                raise InputError(name, str(path), expected)


def output_options(command: Command) -> Command:
    """Give a command the options of its outputs, and hand it one object, ``outputs``."""

    @wraps(command)
    def call(*arguments: Any, **given: Any) -> Any:
        names = [name for name in Outputs.__dataclass_fields__ if name != "files"]
        outputs = Outputs(**{name: given.pop(name) for name in names})
        return command(*arguments, outputs=outputs, **given)

    decorated: Any = call
    for option in reversed(OPTIONS):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return]
