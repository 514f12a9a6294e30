"""How far a job of many shards is, and how long it will take."""

from __future__ import annotations

import time
from collections.abc import Iterator

from adagen_rt.bulk.making import Made, Work
from adagen_rt.bulk.targets import Target
from adagen_rt.cli.support.job import Job
from adagen_rt.cli.support.verbosity import LOGGER
from adagen_rt.progress import bar


class Watch:
    """Shows the progress of all shards of a job, whoever makes them.

    Args:
        work: The job.
        target: Where its shards appear.
        quiet: Whether to show nothing.
    """

    def __init__(self, work: Work, target: Target, quiet: bool) -> None:
        self._work, self._target = work, target
        self._begin, self._before = time.monotonic(), self._images()
        options = {"total": work.plan.count, "initial": self._before, "unit": "image"}
        self._bar = bar(hidden=quiet, leave=False, **options)
        self._told = not quiet and self._bar.disable

    def look(self) -> None:
        """Show how things stand."""
        images = self._images()
        self._bar.update(images - self._bar.n)
        if self._told:
            LOGGER.info(self._line(images))

    def close(self) -> None:
        """Take the bar away."""
        self._bar.close()

    def _images(self) -> int:
        """Count the images of the shards that are there."""
        plan = self._work.plan
        missing = self._work.missing(self._target, plan.shards)
        return plan.count - sum(len(plan.numbers(shard)) for shard in missing)

    def _line(self, images: int) -> str:
        plan = self._work.plan
        rate = (images - self._before) / max(time.monotonic() - self._begin, 1e-9)
        left = f", {_duration((plan.count - images) / rate)} left" if rate else ""
        return f"{images} of {plan.count} images, {rate:.3g} images/s{left}"


def make_watched(job: Job, quiet: bool) -> Iterator[Made]:
    """Make this process's shards, and show how far all are."""
    watch = Watch(job.work, job.target, quiet)
    try:
        for one in job.make():
            yield one
            watch.look()
    finally:
        watch.close()


def _duration(seconds: float) -> str:
    """Say a time as people do: 42 s, 7 min, 3.5 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
