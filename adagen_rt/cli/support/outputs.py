"""Output files of `generate`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from adagen_rt.cli.support.plots import check_plotting, save_plot
from adagen_rt.cli.support.report import save_trace
from adagen_rt.cli.support.watch import PREVIEW_SAMPLES, PREVIEW_STEPS, Preview
from adagen_rt.engine.manifest import ImageSpec, Manifest
from adagen_rt.errors import InputError
from adagen_rt.files import check_writable
from adagen_rt.sampling.pictures import check_grid, check_target, save_images
from adagen_rt.sampling.request import Request
from adagen_rt.sampling.result import Result


@dataclass(frozen=True)
class Outputs:
    """Paths of the output files.

    Attributes:
        out: Path of the images.
        preview: Path of the samples after each step.
        plot: Path of the plot of the schedules.
        trace: Path of the schedules as numbers.
    """

    out: Path
    preview: Path | None
    plot: Path | None
    trace: Path | None

    def check(self, count: int, steps: int, image: ImageSpec) -> None:
        """Refuse paths that could not be written later.

        Raises:
            InputError: A path is unusable, or given twice.
            MissingExtraError: The plot needs a library that is not installed.
        """
        check_target("out", self.out, count, image.size**2)
        if self.preview:
            shown = min(count, PREVIEW_SAMPLES) * min(steps, PREVIEW_STEPS)
            check_grid("preview", shown, image.size**2)
        if self.plot:
            check_plotting()
        extras = {"preview": self.preview, "plot": self.plot, "trace": self.trace}
        taken = {self.out.absolute()}
        for field, path in extras.items():
            if path is None:
                continue
            check_writable(field, path)
            if path.absolute() in taken:
                raise InputError(field, str(path), "a name of its own")
            taken.add(path.absolute())

    def save(
        self, manifest: Manifest, result: Result, request: Request, preview: Preview
    ) -> tuple[list[Path], list[Path]]:
        """Write all requested files, without failed samples.

        Returns:
            The files written, and a shorter list that names a folder of images once.
        """
        failed = len(result.failures) == len(result)
        images = [] if failed else save_images(self.out, result)
        extras = [path for path in (self.preview, self.plot, self.trace) if path]
        if self.preview:
            preview.save(self.preview)
        if self.plot:
            save_plot(self.plot, manifest.schedule, request.steps, result.schedule)
        if self.trace:
            save_trace(self.trace, manifest, result, request)
        return [*images, *extras], [*([self.out] if images else []), *extras]
