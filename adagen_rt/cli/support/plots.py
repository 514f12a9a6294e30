"""Plots of chosen schedules and of latencies."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from adagen_rt.cli.support.formats import PLOTS
from adagen_rt.engine.manifest import Manifest
from adagen_rt.engine.schedule import ActionSpec, ScheduleSpec
from adagen_rt.errors import MissingExtraError
from adagen_rt.evaluation.latency import PERCENTILES, Measurement
from adagen_rt.files import check_writable, replace_file
from adagen_rt.sampling.facts import MARK
from adagen_rt.sampling.formats import check_suffix
from adagen_rt.sampling.result import Result

#: Share of the samples inside the band, in percent.
BAND = (10, 90)
DOTS_PER_INCH = 120

Chosen = dict[str, npt.NDArray[np.float32]]


def check_plotting() -> None:
    """Refuse to plot without the library for it.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise MissingExtraError("matplotlib", "plot")


def check_plot(path: Path | None, *, folder: bool = False) -> None:
    """Refuse a ``--plot`` that could not be written later; arguments as for `check_writable`.

    Raises:
        MissingExtraError: matplotlib is not installed.
        InputError: It cannot be written, or has no format of a plot.
    """
    if path is not None:
        if not folder:
            check_suffix("plot", path, PLOTS)
        check_plotting()
        check_writable("plot", path, folder=folder)


def schedule_title(manifest: Manifest, result: Result) -> str:
    """Say whose schedule a plot shows."""
    facts, count = result.origin.facts, len(result)
    images = "1 image" if count == 1 else f"{count} images"
    untrained = facts["schedule"] == "policy" and not manifest.trained
    schedule = f"{'untrained ' if untrained else ''}{facts['schedule']}"
    return f"{manifest.name}: {schedule} schedule of {images}, {facts['steps']} steps"


def save_plot(path: Path, spec: ScheduleSpec, steps: int, chosen: Chosen, title: str) -> None:
    """Draw every action over the steps, beside its static schedule.

    Args:
        path: The picture to write.
        spec: The action space.
        steps: Steps of the generation.
        chosen: Values by action name (calls, samples), NaN where none was needed.
        title: Whose schedule it is.
    """
    # Not pyplot: it keeps figures alive and may look for a display.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4 * len(spec.actions), 3), layout="constrained")
    axes = figure.subplots(1, len(spec.actions), squeeze=False)[0]
    for axis, action in zip(axes, spec.actions, strict=True):
        _draw(axis, action, steps, chosen[action.name])
    axes[0].legend()
    figure.suptitle(title)
    save_figure(path, figure)


def save_figure(path: Path, figure: Any) -> None:
    """Write a matplotlib figure in the format that the name ends with."""
    kind = PLOTS[path.suffix.lower()]
    author = {"Software" if kind == "png" else "Creator": MARK}
    replace_file(
        path, lambda new: figure.savefig(new, format=kind, dpi=DOTS_PER_INCH, metadata=author)
    )


def _draw(axis: Any, action: ActionSpec, steps: int, values: npt.NDArray[np.float32]) -> None:
    calls = np.arange(1, len(values) + 1)
    needed = np.isfinite(values).any(axis=1)
    finite = np.where(np.isfinite(values), values, np.nan)[needed]
    low, middle, high = np.nanpercentile(finite, (BAND[0], 50, BAND[1]), axis=1)
    axis.fill_between(calls[needed], low, high, alpha=0.3, label=f"{BAND[0]}-{BAND[1]}%")
    axis.plot(calls[needed], middle, marker=".", label="median")
    static = action.static.values(steps, len(values))
    axis.plot(calls, static, "--", color="black", linewidth=1, label="static")
    axis.set(title=action.name.replace("_", " "), xlabel="policy call")
    axis.xaxis.get_major_locator().set_params(integer=True)


def save_latencies(path: Path, measured: Sequence[Measurement], title: str) -> None:
    """Draw latency percentiles and throughput over the batch size.

    Args:
        path: The picture to write.
        measured: One entry a batch size.
        title: What was measured.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.8), layout="constrained")
    latency, throughput = figure.subplots(1, 2)
    ordered = sorted(measured, key=lambda one: one.batch)
    batches = [one.batch for one in ordered]
    for column, percent in enumerate(PERCENTILES):
        values = [1e3 * one.percentiles[column] for one in ordered]
        latency.plot(batches, values, marker=".", label=f"p{percent}")
    latency.legend()
    throughput.plot(batches, [one.images_per_second for one in ordered], marker=".")
    for axis, unit in ((latency, "ms a generation"), (throughput, "images a second")):
        axis.set(ylabel=unit, xlabel="batch size", ylim=(0, None))
        # No image can be half made.
        axis.set_xscale("log", base=2)
        axis.set_xticks(batches, [str(batch) for batch in batches])
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    figure.suptitle(title)
    save_figure(path, figure)
