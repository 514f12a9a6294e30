"""Prometheus metrics, fed by the engines' observers; every app has its own registry."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
    multiprocess,
)

from adagen_rt.serving import BatchEngine, Job, Outcome
from adagen_rt.serving.http.spans import JobSpans
from adagen_rt.serving.http.statistics import Statistics
from adagen_rt.serving.http.together import Together

#: Bucket bounds in seconds: a small engine's step takes a millisecond, a large image minutes.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
#: Gauges that are read from an engine's `Stats`, under the names of its fields.
GAUGES = {
    "queued": "Images that wait.",
    "running": "Images under way.",
    "slots": "Images that can be under way at once.",
    "cache_bytes": "Bytes of images that are kept.",
    "wait_seconds": "What waits or is under way takes so long, at the pace of the last steps.",
}
#: Bucket bounds of backbone evaluations an image.
EVALUATIONS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20, 25, 32, 50, 100, 250, 1000)
LOOKUPS = {True: "hit", False: "miss"}
#: Gauges that each of several processes tells of all together; the others are summed.
COMMON = ("wait_seconds",)
#: Where prometheus-client keeps the numbers of several processes; it reads that when imported.
FOLDER = "PROMETHEUS_MULTIPROC_DIR"
#: Packages whose versions are told, by their labels.
BUILD = {"version": "adagen-rt", "fastapi": "fastapi", "numpy": "numpy"}


def multiprocess_folder() -> str | None:
    """Where this process counts together with others, if it does."""
    return os.environ.get(FOLDER)


def tell_process(registry: CollectorRegistry) -> None:
    """Show what this process runs and takes; of several, the one that answers."""
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    build = Info("adagen_build", "What is running.", registry=registry)
    build.info({name: version(package) for name, package in BUILD.items()})


class Metrics:
    """Metrics that ``/metrics`` shows.

    Attributes:
        statistics: What KServe's calls show of the same.
    """

    def __init__(self) -> None:
        self.statistics = Statistics()
        self.registry = CollectorRegistry()
        if not multiprocess_folder():
            tell_process(self.registry)
        self._requests = self._counter("http_requests", "HTTP requests.", "route", "status")
        self._request_seconds = self._histogram("http_request_seconds", "HTTP latency.", "route")
        self.images = self._counter("images", "Images by how they ended.", "model", "outcome")
        self.submitted = self._counter("images_submitted", "Images that were queued.", "model")
        self.image_seconds = self._histogram(
            "image_seconds", "From queued to done, of images that were made.", "model"
        )
        self.queue_seconds = self._histogram(
            "queue_seconds", "From queued to the first step.", "model"
        )
        self.evaluations = self._histogram(
            "image_evaluations",
            "Backbone evaluations an image needed.",
            "model",
            bounds=EVALUATIONS,
        )
        self.step_seconds = self._histogram("step_seconds", "One step of all slots.", "model")
        self.slot_steps = self._counter("slot_steps", "Slots used, summed over steps.", "model")
        self.lookups = self._counter("cache_lookups", "Images looked for.", "model", "result")
        self._engines: dict[str, BatchEngine] = {}
        folder = multiprocess_folder()
        self._together = Together(Path(folder), self.statistics) if folder else None
        self.gauges = {name: self._gauge(name, text, "model") for name, text in GAUGES.items()}

    def _counter(self, name: str, text: str, *names: str) -> Counter:
        return Counter(f"adagen_{name}", text, names, registry=self.registry)

    def _histogram(
        self, name: str, text: str, *names: str, bounds: Sequence[float] = SECONDS
    ) -> Histogram:
        return Histogram(f"adagen_{name}", text, names, buckets=bounds, registry=self.registry)

    def _gauge(self, name: str, text: str, *names: str) -> Gauge:
        together: Any = "livemax" if name in COMMON else "livesum"
        mode: Any = together if multiprocess_folder() else "all"
        return Gauge(f"adagen_{name}", text, names, registry=self.registry, multiprocess_mode=mode)

    def expect(self, models: Iterable[str], routes: Iterable[tuple[str, int]]) -> None:
        """Show counters at 0 from the start, for rates to see the first of each.

        Args:
            models: Engines that are or will be served.
            routes: Paths with statuses that they are known to answer.
        """
        for model in models:
            for counter in (self.submitted, self.slot_steps):
                counter.labels(model)
            for outcome in get_args(Outcome):
                self.images.labels(model, outcome)
            for result in LOOKUPS.values():
                self.lookups.labels(model, result)
        for path, status in routes:
            self._requests.labels(path, str(status))

    def watch(self, engine: BatchEngine) -> None:
        """Show an engine from now on, and give its images spans."""
        self.expect([engine.name], ())
        engine.observers.append(EngineObserver(self, engine.name))
        engine.observers.append(JobSpans())
        self.statistics.watch(engine)
        self._engines[engine.name] = engine

    def sample(self) -> None:
        """Read the gauges of all engines; several processes tell each other how things stand."""
        engines = list(self._engines.values())
        if self._together:
            self._together.exchange(engines)
        for engine in engines:
            stats = engine.stats()
            for name, gauge in self.gauges.items():
                gauge.labels(engine.name).set(getattr(stats, name))

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count an HTTP request."""
        self._requests.labels(route, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """Return the metrics in Prometheus' text format; of all workers, where there are more."""
        self.sample()
        registry = self.registry
        if multiprocess_folder():
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
            tell_process(registry)
        return generate_latest(registry)


class EngineObserver:
    """Counts an engine's jobs and steps.

    Args:
        metrics: The metrics to count in.
        model: The engine's name.
    """

    def __init__(self, metrics: Metrics, model: str) -> None:
        self._images = metrics.images
        self._lookups = metrics.lookups
        self._model = model
        self._submitted = metrics.submitted.labels(model)
        self._image_seconds = metrics.image_seconds.labels(model)
        self._evaluations = metrics.evaluations.labels(model)
        self._queue_seconds = metrics.queue_seconds.labels(model)
        self._step_seconds = metrics.step_seconds.labels(model)
        self._slot_steps = metrics.slot_steps.labels(model)

    def queued(self, job: Job) -> None:
        """Count an image that waits."""
        self._submitted.inc()

    def started(self, job: Job, queued_seconds: float) -> None:
        """Count an image that has a slot."""
        self._queue_seconds.observe(queued_seconds)

    def stepped(self, slots: int, seconds: float) -> None:
        """Count a step of a batch."""
        self._step_seconds.observe(seconds)
        self._slot_steps.inc(slots)

    def ended(self, job: Job, outcome: str, seconds: float) -> None:
        """Count an ended image by its outcome."""
        self._images.labels(self._model, outcome).inc()
        if outcome == "ok":
            self._image_seconds.observe(seconds)
            self._evaluations.observe(job.evaluations)

    def looked_up(self, job: Job, hit: bool) -> None:
        """Count an image that was looked for among those that are kept."""
        self._lookups.labels(self._model, LOOKUPS[hit]).inc()
