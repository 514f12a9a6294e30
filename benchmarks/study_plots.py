"""Plots of the study: FID against cost, precision against recall."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from adagen_rt.training.checkpoint import replace_atomically

Row = dict[str, Any]


def save_plots(rows: Sequence[Row], folder: Path) -> None:
    """Write ``refine.png`` and ``fidelity.png``, as far as there are rows for them."""
    for study, draw in (("refine", _draw_cost), ("fidelity", _draw_trade)):
        chosen = [row for row in rows if row["study"] == study]
        if chosen:
            _save(chosen, folder / f"{study}.png", draw)


def _save(rows: Sequence[Row], path: Path, draw: Callable[[Any, Sequence[Row]], None]) -> None:
    """One panel an engine."""
    from matplotlib.figure import Figure

    engines = list(dict.fromkeys(row["engine"] for row in rows))
    figure = Figure(figsize=(4 * len(engines), 3.6), layout="constrained")
    panels = figure.subplots(1, len(engines), squeeze=False)[0]
    for axes, engine in zip(panels, engines, strict=True):
        draw(axes, [row for row in rows if row["engine"] == engine])
        axes.set_title(engine)
        axes.legend()
    replace_atomically(path, lambda temporary: figure.savefig(temporary, format="png", dpi=120))


def _draw_cost(axes: Any, rows: Sequence[Row]) -> None:
    plain = rows[0]
    for kind in ("refine", "best-of"):
        curve = [plain, *(row for row in rows if row["kind"] == kind)]
        _curve(axes, curve, "cost", "fid", kind)
    axes.set_xscale("log", base=2)
    axes.set_xlabel("backbone rows, relative to the policy alone")
    axes.set_ylabel("FID")


def _draw_trade(axes: Any, rows: Sequence[Row]) -> None:
    for kind in ("fidelity", "static guidance"):
        _curve(axes, [row for row in rows if row["kind"] == kind], "recall", "precision", kind)
    axes.set_xlabel("recall")
    axes.set_ylabel("precision")


def _curve(axes: Any, rows: Sequence[Row], across: str, up: str, label: str) -> None:
    axes.plot([row[across] for row in rows], [row[up] for row in rows], "o-", label=label)
    for row in rows:
        axes.annotate(
            f"{row['value']:g}",
            (row[across], row[up]),
            xytext=(4, 4),
            textcoords="offset points",
            fontsize=7,
        )
