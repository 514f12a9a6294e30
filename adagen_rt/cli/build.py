"""`adagen-rt build`: TensorRT plans of an engine."""

from __future__ import annotations

import time
from pathlib import Path

import click

from adagen_rt.backends.tensorrt import MODULES
from adagen_rt.backends.tensorrt.build import build_plans
from adagen_rt.backends.tensorrt.whole import build_whole
from adagen_rt.cli.export import DTYPES
from adagen_rt.cli.support.formats import NamedPath
from adagen_rt.cli.support.tables import quantity
from adagen_rt.cli.support.verbosity import LOGGER
from adagen_rt.engine.bundle import BundleFile
from adagen_rt.engine.folder import open_engine
from adagen_rt.errors import InputError
from adagen_rt.progress import bar


@click.command()
@click.argument("engine")
@click.option("--backend", type=click.Choice(tuple(MODULES)), required=True, help="Who builds.")
@click.option(
    "--batch",
    default="1,4,8",
    show_default=True,
    help="Numbers of samples to have a profile for, separated by commas.",
)
@click.option(
    "--dtype",
    type=click.Choice(tuple(DTYPES)),
    help="Precision of the matrix products; default: the engine's own.",
)
@click.option(
    "--out",
    type=NamedPath(),
    help="A folder for the plans of any number of engines; generate, bench, evaluate and inspect "
    "take it as --plans.",
)
def build(engine: str, backend: str, batch: str, dtype: str | None, out: Path | None) -> None:
    """Build TensorRT plans of ENGINE (a folder, or the name of a shipped engine).

    Of a file that adagen-rt bundle --for tensorrt wrote, it builds one plan of the whole
    generation, --out or NAME.BACKEND.plan beside it.

    They go to ENGINE/plans/BACKEND, or to the user's cache for an engine that came with the
    package or cannot be written to; both are looked at when plans are used. Those of an earlier
    build stay as they are until all is done. tensorrt builds for the GPU of this machine;
    tensorrt-rtx needs no GPU, and compiles for the one that it finds when the plans are loaded.
    """
    batches = parse_batches(batch)
    opened = open_engine(engine)
    begin = time.perf_counter()
    if isinstance(opened, BundleFile) and dtype is not None:
        raise InputError("dtype", dtype, "none: the precision of a whole generation is its file's")
    with Display() as display:
        if isinstance(opened, BundleFile):
            made = build_whole(opened, backend, batches=batches, out=out, progress=display.show)
        else:
            made = build_plans(
                opened,
                backend,
                batches=batches,
                dtype=DTYPES[dtype] if dtype else None,
                out=out,
                progress=display.show,
            )
    seconds = time.perf_counter() - begin
    size = sum(path.stat().st_size for path in (made.iterdir() if made.is_dir() else [made]))
    click.echo(f"written: {made} ({quantity(size)}B, {seconds:.1f} s)")


def parse_batches(text: str) -> list[int]:
    """Parse the numbers of ``--batch``.

    Raises:
        InputError: An entry is not a number.
    """
    try:
        return [int(number) for number in text.split(",")]
    except ValueError:
        raise InputError("batch", text, "numbers separated by commas, such as 1,4,8") from None


class Display:
    """A line for every graph and, on a terminal, a bar for TensorRT's current phase."""

    def __init__(self) -> None:
        self._graph = ""
        self._bar = bar(leave=False)

    def __enter__(self) -> Display:
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()

    def show(self, graph: str, phase: str, done: int, steps: int) -> None:
        """Show that ``phase`` of a graph's build has reached step ``done`` of ``steps``."""
        if graph != self._graph:
            self._graph = graph
            self._bar.clear()
            LOGGER.info(f"building {graph}")
        if not self._bar.disable:
            self._bar.set_description(phase, refresh=False)
            self._bar.total, self._bar.n = steps, done
            self._bar.update(0)
