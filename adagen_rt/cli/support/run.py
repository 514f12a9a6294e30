"""A run of `generate`: a batch after the other, each written as it is made."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from adagen_rt.cli.support.ending import Interrupted
from adagen_rt.cli.support.joining import join_results
from adagen_rt.cli.support.outputs import Outputs
from adagen_rt.cli.support.preview import Preview
from adagen_rt.cli.support.repeat import Asked
from adagen_rt.cli.support.resume import Earlier
from adagen_rt.cli.support.verbosity import LOGGER
from adagen_rt.engine.manifest import Manifest
from adagen_rt.pipeline.base import Pipeline
from adagen_rt.pipeline.load import make_pipeline
from adagen_rt.progress import bar
from adagen_rt.sampling.facts import count_words
from adagen_rt.sampling.loop import Timings
from adagen_rt.sampling.origin import Facts, Origin, run_facts
from adagen_rt.sampling.request import Request
from adagen_rt.sampling.result import Result, Step, blank_images


class Run:
    """Makes images and has them written; everything is checked when it is made.

    Args:
        asked: What for.
        outputs: Where things go.
        earlier: What an interrupted run left in the folder, where this one goes on with it.

    Attributes:
        manifest: The engine's, at the size of the images.
        preview: Pictures of the first samples.
    """

    def __init__(self, asked: Asked, outputs: Outputs, earlier: Earlier | None) -> None:
        request, self._outputs = asked.request, outputs
        self.manifest = asked.engine.manifest.at(request.params.extent)
        self._total = len(request)
        self._facts = run_facts(asked.engine, request, asked.execution.facts)
        words = count_words(self.manifest.condition, request.rows)
        outputs.check(self._total, request.steps, self.manifest.image, words)
        self._numbers = np.arange(self._total)
        if earlier is not None:
            self._numbers = earlier.missing(self.manifest, request, self._facts)
        self._request = request.take(self._numbers)
        self._pipeline = self._load(asked)
        self.preview = Preview(outputs.preview is not None, request.steps)

    def make(self, batch_size: int, quiet: bool) -> Iterator[tuple[Result, list[Path]]]:
        """Make what is missing, and yield each batch, with its files, when it is written.

        Raises:
            Interrupted: A signal came.
        """
        total = len(self._request) * self._request.steps * self._request.params.best_of
        with bar(total=total, unit="step", hidden=quiet, leave=False) as progress:
            for first in range(0, len(self._request), batch_size):
                places = np.arange(first, min(first + batch_size, len(self._request)))
                watch = partial(self._watch, progress)
                try:
                    result = self._pipeline.run(
                        self._request.take(places), batch_size=batch_size, progress=watch
                    )
                    result = result.numbered(self._numbers[places])
                    files = self._outputs.add(result, self._total)
                except KeyboardInterrupt as error:
                    raise Interrupted(error, self._kept()) from None
                last = self._numbers[places[-1]]
                LOGGER.debug("images %d to %d of %d", self._numbers[first], last, self._total)
                yield result, files

    def join(self, parts: list[Result]) -> Result:
        """All batches together."""
        return join_results(parts or [_nothing(self.manifest, self._request, self._facts)])

    def _load(self, asked: Asked) -> Pipeline:
        pipeline = make_pipeline(asked.engine, asked.execution)
        facts = ", ".join(f"{name} {value}" for name, value in pipeline.facts().items())
        manifest = self.manifest
        if self._request.params.schedule == "policy" and not manifest.trained:
            LOGGER.info("%s: schedule %s", manifest.name, manifest.adaptation)
        LOGGER.debug("loaded %s: %s", asked.engine.path, facts)
        streams = None if self._outputs.preview is None else "preview"
        pipeline.capabilities.check(pipeline.backend, self._request.params, streams=streams)
        return pipeline

    def _watch(self, progress: Any, step: Step) -> None:
        progress.update(step.advanced)
        self.preview.add(step)

    def _kept(self) -> str:
        files = len(self._outputs.files)
        if not files:
            return "nothing was written"
        there = self._total - len(self._numbers) + files
        where = self._outputs.out
        return f"{there} of {self._total} images are in {where}; --resume makes the rest"


def _nothing(manifest: Manifest, request: Request, facts: Facts) -> Result:
    """The result of no samples."""
    calls = manifest.family.calls(request.steps)
    schedule = {name: np.empty((calls, 0), np.float32) for name in manifest.schedule.names}
    return Result(
        condition=manifest.condition,
        images=blank_images(0, manifest.image),
        rows=request.rows,
        seeds=request.seeds,
        schedule=schedule,
        evaluations=np.empty(0, np.int64),
        failures={},
        timings=Timings(),
        made_by=Origin.of(request, facts),
    )
