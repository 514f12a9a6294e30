"""How every benchmark here measures: interleaved runs, medians, and the conditions stated."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from adagen_rt.system import load_average, processor_name


def interleaved_medians(
    contenders: Mapping[str, Callable[[], object]], repeats: int = 15, warmups: int = 2
) -> dict[str, float]:
    """Median seconds of each contender's call; arguments as for ``interleaved_seconds``."""
    seconds = interleaved_seconds(contenders, repeats, warmups)
    return {name: statistics.median(times) for name, times in seconds.items()}


def interleaved_seconds(
    contenders: Mapping[str, Callable[[], object]], repeats: int, warmups: int
) -> dict[str, list[float]]:
    """Time contenders in turns, A B A B, so that a busy moment of the machine meets them all.

    Args:
        contenders: Name to a call that does the work once.
        repeats: Timed calls of each.
        warmups: Untimed calls of each, made first.

    Returns:
        Name to the seconds of each timed call.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(warmups + repeats):
        for name, call in contenders.items():
            start = time.perf_counter()
            call()
            if turn >= warmups:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def conditions(threads: int) -> dict[str, Any]:
    """Describe the machine and how busy it is, to be printed beside any timing."""
    return {
        "cpu": processor_name(),
        "cores": os.cpu_count(),
        "threads": threads,
        "load_1min": load_average(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def print_report(
    name: str,
    header: Sequence[str],
    rows: Sequence[Sequence[Any]],
    facts: Mapping[str, Any],
    only_json: bool = False,
) -> None:
    """Print the conditions, a table for people, and one line of JSON last.

    Args:
        name: The benchmark's name.
        header: One title a column; the JSON's keys.
        rows: One sequence a line; floats are printed with three digits.
        facts: Conditions and settings that hold for all rows.
        only_json: Whether to print the last line alone.
    """
    if not only_json:
        _print_table(header, rows, facts)
    rounded = [[_rounded(value) for value in row] for row in rows]
    results = [dict(zip(header, row, strict=True)) for row in rounded]
    print(json.dumps({"benchmark": name, **facts, "results": results}))


def _print_table(
    header: Sequence[str], rows: Sequence[Sequence[Any]], facts: Mapping[str, Any]
) -> None:
    print(", ".join(f"{key} {value}" for key, value in facts.items()))
    cells = [list(header)] + [[_cell(value) for value in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    for row in cells:
        print("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))


def _cell(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _rounded(value: Any) -> Any:
    return float(f"{value:.4g}") if isinstance(value, float) else value
