"""Plots of the tables of `quality.py`, and pictures of both ends of fidelity."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from kept import Row
from sheets import draw_sheet, save_sheet

from adagen_rt.files import replace_file
from adagen_rt.sampling.params import SamplingParams
from adagen_rt.sampling.sampler import Sampler

#: Samples of each condition in a picture.
GRID_ROWS = 8
#: Panels of a plot beside each other.
PANELS = 2


def save_plots(rows: Sequence[Row], folder: Path) -> None:
    """Write a plot of each table that there are rows of: FOLDER/TABLE.png."""
    draws = {"schedules": _draw_steps, "refine": _draw_cost, "fidelity": _draw_trade}
    for table, draw in draws.items():
        chosen = [row for row in rows if row["table"] == table]
        if chosen:
            _save(chosen, folder / f"{table}.png", draw)


def save_pictures(source: Sampler, batch_size: int, folder: Path) -> None:
    """The same samples, a column a condition, at both ends of fidelity."""
    for share in (0.0, 1.0):
        sheet = draw_sheet(source, GRID_ROWS, batch_size, SamplingParams(fidelity=share))
        path = folder / f"{source.manifest.name}-fidelity-{share:g}.png"
        save_sheet(sheet, path)


def _save(rows: Sequence[Row], path: Path, draw: Callable[[Any, Sequence[Row]], None]) -> None:
    """One panel an engine."""
    from matplotlib.figure import Figure

    engines = list(dict.fromkeys(row["engine"] for row in rows))
    across = min(len(engines), PANELS)
    down = math.ceil(len(engines) / across)
    figure = Figure(figsize=(5 * across, 3.8 * down), layout="constrained")
    panels = list(figure.subplots(down, across, squeeze=False).flat)
    for axes in panels[len(engines) :]:
        axes.remove()
    for axes, engine in zip(panels, engines, strict=False):
        draw(axes, [row for row in rows if row["engine"] == engine])
        axes.set_title(engine)
        axes.legend()
    figure.suptitle(f"Means over {rows[0]['seeds']} x {rows[0]['images']:,} images a point")
    replace_file(path, lambda temporary: figure.savefig(temporary, format="png", dpi=120))


def _draw_steps(axes: Any, rows: Sequence[Row]) -> None:
    for kind in dict.fromkeys(row["kind"] for row in rows):
        _curve(axes, [row for row in rows if row["kind"] == kind], "value", "fid", kind)
    axes.set_xlabel("steps")
    axes.set_ylabel("FID")


def _draw_cost(axes: Any, rows: Sequence[Row]) -> None:
    plain = rows[0]
    for kind in ("refine", "best-of"):
        curve = [plain, *(row for row in rows if row["kind"] == kind)]
        _curve(axes, curve, "cost", "fid", kind)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("backbone rows, relative to the policy alone")
    axes.set_ylabel("FID")


def _draw_trade(axes: Any, rows: Sequence[Row]) -> None:
    for kind, below in (("fidelity", False), ("static guidance", True)):
        curve = [row for row in rows if row["kind"] == kind]
        _curve(axes, curve, "recall", "precision", kind, below=below)
    axes.set_xlabel("recall")
    axes.set_ylabel("precision")


def _curve(
    axes: Any, rows: Sequence[Row], across: str, up: str, label: str, *, below: bool = False
) -> None:
    (line,) = axes.plot([row[across] for row in rows], [row[up] for row in rows], "o-", label=label)
    for row in rows:
        axes.annotate(
            f"{row['value']:g}",
            (row[across], row[up]),
            xytext=(4, -10 if below else 4),
            textcoords="offset points",
            fontsize=8,
            color=line.get_color(),
        )
