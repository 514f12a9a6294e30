"""How good the engines' images are, under everything that a user can choose, and what that costs.

Regime: 5,000 images a line and seed, as many of every class, seeds that no training and no search
used; judged by the examiner (96 pooled features), which no reward and no tokenizer looks through;
distances are to the 60,000 training images. Four tables:

    --schedules (the default)    hand-made, tuned and learnt, at the same and at more steps
    --refine                     refinement and best-of: FID against cost
    --fidelity                   precision against recall, beside guidance turned up by hand
    --worth                      the policy's outputs without the sample in them: their mean, their
                                 mean in the class, and those of another sample of the class

A line's value is the steps of a schedule, K of refinement, N of best-of, the share of fidelity or
the factor of guidance; its cost is in backbone rows, relative to the table's first line.

    python benchmarks/quality.py --data DIR                        # the engines, as users run them
    python benchmarks/quality.py --data DIR --refine --fidelity --keep rows.jsonl --plot FOLDER
    python benchmarks/quality.py --data DIR --device cuda --batch-size 500   # their graphs on a GPU
    python benchmarks/quality.py --data DIR --runs RUNS --device cuda

The last form runs networks in PyTorch: RUNS/NAME holds what `adagen-rt train` left, and
RUNS/NAME-fidelity the training of the fidelity policy. Rows are kept in --keep as they come, and a
rerun, of any of the tables, skips those that are there.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import torch
from quality_plots import save_pictures, save_plots
from quality_rows import Measured, Row
from quality_tables import COLUMNS, TABLES, plan, tabulate
from timing import conditions, print_report

from adagen_rt.cli.support.judges import check_judged
from adagen_rt.cli.support.plots import check_plot
from adagen_rt.errors import AdagenError, InputError, as_integer
from adagen_rt.evaluation.judge import load_judge
from adagen_rt.evaluation.sources import SourceOpener, title
from adagen_rt.files import check_writable
from adagen_rt.pipeline.load import check_threads
from adagen_rt.progress import bar
from adagen_rt.sampling.params import MAX_STEPS
from adagen_rt.sampling.request import MAX_BATCH
from adagen_rt.sampling.sampler import Sampler

ENGINES = "fashion-maskgit,fashion-dit,fashion-sit,fashion-var"
#: Precision and recall need neighbours.
MIN_COUNT = 10


@dataclass(frozen=True)
class Settings:
    """What was asked for; the command's options say what each is.

    Attributes:
        tables: Names of the tables.
        engines: Names or folders.
        seeds: Which images.
        more: Multiples of a schedule's own steps.
    """

    tables: tuple[str, ...]
    data: Path
    engines: tuple[str, ...]
    opener: SourceOpener
    batch_size: int
    count: int
    seeds: tuple[int, ...]
    more: tuple[int, ...]
    keep: Path | None
    plot: Path | None


def make_settings(options: dict[str, Any]) -> Settings:
    """The options, parsed and checked.

    Raises:
        AdagenError: One of them is no good.
    """
    tables = tuple(name for name in TABLES if options.pop(name)) or TABLES[:1]
    names = ("runs", "device", "threads", "std")
    opener = SourceOpener(**{name: options.pop(name) for name in names})
    check_threads(opener.threads)
    options["engines"] = tuple(options["engines"].split(","))
    options["seeds"] = _numbers("seeds", options["seeds"], 0, 1_000_000)
    options["more"] = _numbers("more", options["more"], 1, MAX_STEPS) if options["more"] else ()
    check_plot(options["plot"], folder=True)
    if options["keep"] is not None:
        check_writable("keep", options["keep"])
    return Settings(tables, opener=opener, **options)


def _numbers(field: str, text: str, low: int, high: int) -> tuple[int, ...]:
    parts = text.split(",")
    if not all(part.isdecimal() for part in parts):
        raise InputError(field, text, "whole numbers, comma-separated")
    return tuple(as_integer(field, int(part), low, high) for part in parts)


def measure(settings: Settings) -> tuple[list[Row], dict[str, Any]]:
    """All rows of the tables, and what holds for all of them."""
    # All engines first: a wrong name is told before the judge has looked at the real images.
    sources = [settings.opener.open(name) for name in settings.engines]
    for source in sources:
        check_judged("engines", source.manifest.image)
    judge = load_judge(settings.data, settings.opener.device)
    facts = conditions(settings.opener.threads) | settings.opener.describe()
    facts |= {"judge": judge.describe()}
    how = settings.count, settings.batch_size, str(settings.opener), settings.keep
    measured = Measured(judge, *how, records="worth" in settings.tables)
    rows = []
    for source in sources:
        rows += _engine_rows(source, measured, settings)
        if settings.plot is not None and "fidelity" in settings.tables:
            save_pictures(source, settings.batch_size, settings.plot)
    return rows, facts


def _engine_rows(source: Sampler, measured: Measured, settings: Settings) -> list[Row]:
    rows, name = [], title(source.manifest)
    for table in settings.tables:
        lines = plan(table, source, settings.more)
        shown = bar(lines, desc=f"{name}, {table}", unit="line")
        found = [[measured.row(source, line, seed) for seed in settings.seeds] for line in shown]
        rows += tabulate(table, name, lines, found)
    return rows


@click.command()
@click.option("--data", required=True, type=click.Path(path_type=Path), help="Fashion-MNIST.")
@click.option("--schedules", is_flag=True, help="Schedules and steps; the default.")
@click.option("--refine", is_flag=True, help="Refinement and best-of.")
@click.option("--fidelity", is_flag=True, help="Fidelity and guidance.")
@click.option("--worth", is_flag=True, help="What looking at the sample is worth.")
@click.option("--engines", default=ENGINES, help="Names or folders, comma-separated.")
@click.option("--runs", type=click.Path(path_type=Path), help="Run the networks in RUNS/NAME.")
@click.option("--device", default="cpu", show_default=True, help="Where PyTorch computes.")
@click.option("--count", type=click.IntRange(MIN_COUNT), default=5000, show_default=True)
@click.option("--seeds", default="0,1", show_default=True, help="Comma-separated.")
@click.option(
    "--more", default="2,3", show_default=True, help="Multiples of the own steps; may be ''."
)
@click.option("--std", type=click.FloatRange(0, min_open=True), help="Of refinement's candidates.")
@click.option("--batch-size", type=click.IntRange(1, MAX_BATCH), default=50, show_default=True)
@click.option("--threads", type=int, default=2, show_default=True)
@click.option("--keep", type=click.Path(path_type=Path), help="JSON lines of finished rows.")
@click.option("--plot", type=click.Path(path_type=Path), help="Folder for plots and pictures.")
def main(**options: Any) -> None:
    """Score images; a table, and last a line of JSON."""
    try:
        settings = make_settings(options)
        torch.set_num_threads(settings.opener.threads)
        rows, facts = measure(settings)
    except AdagenError as error:
        raise click.UsageError(str(error)) from error
    if settings.plot is not None:
        save_plots(rows, settings.plot)
    print_report("quality", COLUMNS, [[row[name] for name in COLUMNS] for row in rows], facts)


if __name__ == "__main__":
    main()
