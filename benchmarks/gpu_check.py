"""Prove the device loop on a GPU: kernels, engines, synchronisations, sanitizer, latency.

Sections go on where another fails; rows are printed as they come, then as a table, with one
line of JSON last. The exit status is 1 if anything failed. Without a GPU, ``--dry-run`` runs
what it can on the host's stand-in and says what it skips.

    python benchmarks/gpu_check.py [--sections kernels,engines] [--quick] [--minutes 9] [--dry-run]

Where a GPU is only there for some minutes, ``--minutes`` begins nothing more when they are over
and says what was skipped; a row under way is finished.
"""

from __future__ import annotations

import math
import sys
import time
import traceback
from collections.abc import Iterator

import click
from gpu_sections import SECTIONS, Row
from timing import conditions, print_report

from adagen_rt.cuda import DRIVERS, Driver, open_driver
from adagen_rt.cuda.host import HostDriver
from adagen_rt.errors import AdagenError

HEAD = ("section", "subject", "outcome", "detail")


def rows_of(section: str, driver: Driver, quick: bool) -> Iterator[Row]:
    """A section's rows; what stops it is its last."""
    try:
        yield from SECTIONS[section](driver, quick)
    except Exception as error:
        if not isinstance(error, AdagenError):
            traceback.print_exc()
        first = str(error).partition("\n")[0]
        yield section, "FAILED", f"{type(error).__name__}: {first}"


def until(end: float, rows: Iterator[Row]) -> Iterator[Row]:
    """Rows that begin before ``end`` on the monotonic clock, and one that says where it stopped."""
    while time.monotonic() < end:
        row = next(rows, None)
        if row is None:
            return
        yield row
    yield "the rest", "skipped", "the minutes are over"


def chosen_sections(_: click.Context, __: click.Parameter, value: str) -> list[str]:
    """Names from a list with commas."""
    names = value.split(",")
    if unknown := set(names) - set(SECTIONS):
        raise click.BadParameter(f"{', '.join(sorted(unknown))}: expected {', '.join(SECTIONS)}")
    return names


@click.command()
@click.option("--sections", default=",".join(SECTIONS), callback=chosen_sections)
@click.option("--driver", "name", type=click.Choice(DRIVERS), help="Default: what is installed.")
@click.option("--quick", is_flag=True, help="The smallest shapes, one family.")
@click.option("--minutes", type=click.FloatRange(min=0), help="Begin nothing after this time.")
@click.option("--dry-run", is_flag=True, help="Without a GPU, on the host's stand-in.")
def main(
    sections: list[str], name: str | None, quick: bool, minutes: float | None, dry_run: bool
) -> None:
    """Check the device loop; last line JSON."""
    try:
        driver = HostDriver() if dry_run else open_driver(name)
    except AdagenError as error:
        raise click.ClickException(f"{error} (--dry-run needs no GPU)") from None
    end = math.inf if minutes is None else time.monotonic() + 60 * minutes
    report = []
    for section in sections:
        for row in until(end, rows_of(section, driver, quick)):
            report.append((section, *row))
            print(*report[-1], sep="  ", flush=True)
    facts = {**conditions(1), "driver": driver.name, "dry_run": dry_run, "quick": quick}
    print_report("gpu_check", HEAD, report, facts)
    sys.exit(any(row[2] == "FAILED" for row in report))


if __name__ == "__main__":
    main()
