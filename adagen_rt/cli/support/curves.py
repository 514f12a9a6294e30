"""Curves of a policy's training."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adagen_rt.files import replace_file

#: Columns of the log that share a panel.
PANELS = (
    *(("reward",), ("real", "fake"), ("fid",), ("accuracy",), ("entropy",), ("clip_fraction",)),
    *(("evaluations",), ("step_cost",)),
)


def save_curves(path: Path, log: Path) -> None:
    """Draw rewards, scores and the rest of a log over the updates.

    Args:
        path: The picture to write.
        log: The run's `log.csv`; empty cells are left out.
    """
    # Not pyplot: it keeps figures alive and may look for a display.
    from matplotlib.figure import Figure

    with log.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    panels = filled_panels(rows)
    columns = min(3, len(panels)) or 1
    lines = -(-len(panels) // columns) or 1
    figure = Figure(figsize=(4 * columns, 3 * lines), layout="constrained")
    figure.suptitle(f"{log.parent.name}: {len(rows)} updates")
    for place, names in enumerate(panels, 1):
        axis: Any = figure.add_subplot(lines, columns, place)
        for name in names:
            _draw(axis, name, rows)
        if len(names) > 1:
            axis.legend()
        axis.set(title=", ".join(names).replace("_", " "), xlabel="update")
        axis.xaxis.get_major_locator().set_params(integer=True)
    replace_file(path, lambda temporary: figure.savefig(temporary, format="png", dpi=100))


def filled_panels(rows: Sequence[Mapping[str, str]]) -> list[tuple[str, ...]]:
    """List the panels that have something to show, and of their columns those that have."""
    panels = (tuple(name for name in names if any(row[name] for row in rows)) for names in PANELS)
    return [names for names in panels if names]


def _draw(axis: Any, name: str, rows: list[dict[str, str]]) -> None:
    known = [row for row in rows if row[name]]
    marker = "." if len(known) < len(rows) // 2 else None
    axis.plot(
        [int(row["update"]) for row in known],
        [float(row[name]) for row in known],
        marker=marker,
        label=name,
    )
