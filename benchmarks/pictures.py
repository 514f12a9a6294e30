"""The pictures of the README, made by the shipped engines.

    python benchmarks/pictures.py --out docs/images

What they show: the images of `make demo` and what they look like after each step, images of
classes and what the policy chose for them, and six images of every class by each engine. On one
machine they come out the same every time.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from sheets import draw_sheet, save_sheet

from adagen_rt.cli.generate import generate
from adagen_rt.errors import AdagenError
from adagen_rt.pipeline.load import load
from adagen_rt.sampling.captions import WHITE
from adagen_rt.sampling.params import SamplingParams
from adagen_rt.sampling.result import Images

ENGINES = "fashion-maskgit,fashion-var,fashion-dit,fashion-sit"
#: Images of each class and engine, images made together, pixels between two sheets.
ROWS, BATCH, GAP = 6, 30, 12


#: Options of `generate` for pictures, by what their names end with.
PICTURES = {"": "--out", "-steps": "--preview", "-schedule": "--plot"}


def draw(engine: str, folder: Path, count: int, *ends: str) -> None:
    """Make images with words under each, and other pictures of the same generation."""
    options = ["--engine", engine, "--count", count, "--seed", 0, "--labels", "--overwrite"]
    for end in ("", *ends):
        options += [PICTURES[end], folder / f"{Path(engine).name}{end}.png"]
    generate.main(list(map(str, options)), standalone_mode=False)


def join_sheets(sheets: list[Images]) -> Images:
    """Put sheets of any sizes into two columns, on white."""
    sides = [max(sheet.shape[axis] for sheet in sheets) for axis in (0, 1)]
    cells = [np.full((*(side + GAP for side in sides), 1), WHITE, np.uint8) for _ in sheets]
    for cell, sheet in zip(cells, sheets, strict=True):
        cell[: sheet.shape[0], : sheet.shape[1]] = sheet
    rows = [np.concatenate(cells[first : first + 2], axis=1) for first in range(0, len(cells), 2)]
    return np.concatenate(rows, axis=0)


@click.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The pictures' folder.")
@click.option("--demo", default="emoji-sit", help="The engine of the quick start.")
@click.option("--count", default=16, show_default=True, help="Images of the quick start.")
@click.option("--chosen", default="fashion-maskgit", help="The engine whose schedule is shown.")
@click.option("--samples", default=64, show_default=True, help="Images that it is chosen for.")
@click.option("--engines", default=ENGINES, help="An even number of names or folders.")
def main(out: Path, demo: str, count: int, chosen: str, samples: int, engines: str) -> None:
    """Draw the pictures."""
    try:
        draw(demo, out, count, "-steps")
        draw(chosen, out, samples, "-steps", "-schedule")
        pipelines = [load(name) for name in engines.split(",")]
        sheets = [draw_sheet(one, ROWS, BATCH, SamplingParams()) for one in pipelines]
    except AdagenError as error:
        raise click.UsageError(str(error)) from error
    save_sheet(join_sheets(sheets), out / "four-engines.png")


if __name__ == "__main__":
    main()
