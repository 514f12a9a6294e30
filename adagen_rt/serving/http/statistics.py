"""What engines have done, counted as Triton's statistics extension counts it."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from dataclasses import asdict, dataclass, field
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

    def include(self, other: Duration) -> None:
        """Count what happened elsewhere, too."""
        self.count += other.count
        self.ns += other.ns


@dataclass
class Counts:
    """What an engine has done.

    Attributes:
        requests: Durations of images by the extension's names.
        batches: Durations of steps by the slots that made them.
        last: Time at which the last image ended, in milliseconds since 1970; 0 before the first.
    """

    requests: dict[str, Duration] = field(default_factory=lambda: defaultdict(Duration))
    batches: dict[int, Duration] = field(default_factory=lambda: defaultdict(Duration))
    last: int = 0

    def include(self, other: Counts) -> None:
        """Count what another engine has done, too."""
        for name, duration in other.requests.items():
            self.requests[name].include(duration)
        for size, duration in other.batches.items():
            self.batches[size].include(duration)
        self.last = max(self.last, other.last)

    def as_json(self) -> dict[str, Any]:
        """Return all of it for JSON, to be read by `from_json`."""
        return {
            "requests": {name: asdict(duration) for name, duration in self.requests.items()},
            "batches": {str(size): asdict(steps) for size, steps in self.batches.items()},
            "last": self.last,
        }

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> Counts:
        """Read what `as_json` returned."""
        made = cls(last=told["last"])
        for name, duration in told["requests"].items():
            made.requests[name] = Duration(**duration)
        for size, duration in told["batches"].items():
            made.batches[int(size)] = Duration(**duration)
        return made

    def facts(self) -> dict[str, Any]:
        """Return the counts for JSON, under the extension's names."""
        none = Duration()
        requests = {name: asdict(self.requests.get(name, none)) for name in REQUEST_PARTS}
        batches = [
            {
                "batch_size": size,
                **{name: asdict(none) for name in BATCH_PARTS},
                "compute_infer": asdict(steps),
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


class Counter:
    """Counts what an engine does, and those that take its place; an observer."""

    def __init__(self) -> None:
        self._counts = Counts()
        self._waited: dict[Job, float] = {}
        self._lock = threading.Lock()

    def queued(self, job: Job) -> None:
        """Nothing to count yet."""

    def started(self, job: Job, queued_seconds: float) -> None:
        """Count an image that has a slot."""
        with self._lock:
            self._counts.requests["queue"].add(queued_seconds)
            if not job.future.done():  # else its end was counted already
                self._waited[job] = queued_seconds

    def stepped(self, slots: int, seconds: float) -> None:
        """Count a step of a batch."""
        with self._lock:
            self._counts.batches[slots].add(seconds)

    def ended(self, job: Job, outcome: Outcome, seconds: float) -> None:
        """Count an image that was made, or was not."""
        with self._lock:
            requests, waited = self._counts.requests, self._waited.pop(job, 0.0)
            self._counts.last = round(time.time() * 1000)
            if outcome != "ok":
                requests["fail"].add(seconds)
                return
            requests["success"].add(seconds)
            requests["compute_infer"].add(seconds - waited)

    def counts(self) -> Counts:
        """Return what was counted so far."""
        found = Counts()
        with self._lock:
            found.include(self._counts)
        return found


class Statistics:
    """The counts of every engine, by name.

    Attributes:
        elsewhere: What other processes have counted, by the engine's name.
    """

    def __init__(self) -> None:
        self._models: dict[str, Counter] = {}
        self.elsewhere: dict[str, list[Counts]] = {}

    def watch(self, engine: BatchEngine) -> None:
        """Count what an engine does from now on."""
        engine.observers.append(self._models.setdefault(engine.name, Counter()))

    def own(self, name: str) -> Counts:
        """Return what was counted here of the engine of a name; nothing before it is watched."""
        return self._models.get(name, Counter()).counts()

    def facts(self, name: str) -> dict[str, Any]:
        """Return the counts of all processes for JSON."""
        found = self.own(name)
        for other in self.elsewhere.get(name, ()):
            found.include(other)
        return found.facts()
