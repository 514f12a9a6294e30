"""What engines have done, counted as Triton's statistics extension counts it."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from adagen_rt.serving import BatchEngine, Job
from adagen_rt.serving.batching.job import Outcome

SECOND = 1_000_000_000
#: Durations that the extension has for a request; those that nobody measures here stay at 0.
REQUEST_PARTS = (
    "success",
    "fail",
    "queue",
    "compute_input",
    "compute_infer",
    "compute_output",
    "cache_hit",
    "cache_miss",
)
BATCH_PARTS = ("compute_input", "compute_infer", "compute_output")


@dataclass
class Duration:
    """How often something happened, and for how long in all, in nanoseconds."""

    count: int = 0
    ns: int = 0

    def add(self, seconds: float) -> None:
        """Count one more."""
        self.count += 1
        self.ns += round(seconds * SECOND)

    def facts(self) -> dict[str, int]:
        """Return both numbers for JSON."""
        return {"count": self.count, "ns": self.ns}


@dataclass
class ModelCounts:
    """The counts of one engine, and of those that took its place; an observer.

    Attributes:
        requests: Durations of images by the extension's names.
        batches: Durations of steps by the slots that made them.
        last: Time at which the last image ended, in milliseconds since 1970; 0 before the first.
    """

    requests: dict[str, Duration] = field(default_factory=lambda: defaultdict(Duration))
    batches: dict[int, Duration] = field(default_factory=lambda: defaultdict(Duration))
    last: int = 0
    _waited: dict[Job, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def queued(self, job: Job) -> None:
        """Nothing to count yet."""

    def started(self, job: Job, queued_seconds: float) -> None:
        """Count an image that has a slot."""
        with self._lock:
            self.requests["queue"].add(queued_seconds)
            if not job.future.done():  # else its end was counted already
                self._waited[job] = queued_seconds

    def stepped(self, slots: int, seconds: float) -> None:
        """Count a step of a batch."""
        with self._lock:
            self.batches[slots].add(seconds)

    def ended(self, job: Job, outcome: Outcome, seconds: float) -> None:
        """Count an image that was made, or was not."""
        with self._lock:
            waited = self._waited.pop(job, 0.0)
            self.last = round(time.time() * 1000)
            if outcome != "ok":
                self.requests["fail"].add(seconds)
                return
            self.requests["success"].add(seconds)
            self.requests["compute_infer"].add(seconds - waited)

    def facts(self) -> dict[str, Any]:
        """Return the counts for JSON, under the extension's names."""
        none = Duration()
        with self._lock:
            requests = {name: self.requests.get(name, none).facts() for name in REQUEST_PARTS}
            batches = [
                {
                    "batch_size": size,
                    **{name: none.facts() for name in BATCH_PARTS},
                    "compute_infer": steps.facts(),
                }
                for size, steps in sorted(self.batches.items())
            ]
            return {
                "last_inference": self.last,
                "inference_count": requests["success"]["count"],
                "execution_count": sum(steps.count for steps in self.batches.values()),
                "inference_stats": requests,
                "response_stats": {},
                "batch_stats": batches,
                "memory_usage": [],
            }


class Statistics:
    """The counts of every engine, by name."""

    def __init__(self) -> None:
        self._models: dict[str, ModelCounts] = {}

    def watch(self, engine: BatchEngine) -> None:
        """Count what an engine does from now on."""
        engine.observers.append(self._models.setdefault(engine.name, ModelCounts()))

    def facts(self, name: str) -> dict[str, Any]:
        """Return the counts of the engine of a name for JSON; zeros before it is watched."""
        return self._models.get(name, ModelCounts()).facts()
