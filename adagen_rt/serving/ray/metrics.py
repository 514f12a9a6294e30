"""The server's metrics as those of Ray, which gathers them from all replicas and nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ray.serve import metrics as ray_metrics

from adagen_rt.serving.http.faults import Fault, HTTPError
from adagen_rt.serving.http.metrics import SECONDS, Metrics


class RayMetrics(Metrics):
    """Metrics of a replica; Ray adds the names of the application and the replica.

    To be made in a replica, whose health check reads the gauges.
    """

    def _counter(self, name: str, text: str, *names: str) -> Any:
        return _Labelled(ray_metrics.Counter(f"adagen_{name}", text, tag_keys=names), names)

    def _histogram(
        self, name: str, text: str, *names: str, bounds: Sequence[float] = SECONDS
    ) -> Any:
        options: Any = {"boundaries": list(bounds), "tag_keys": names}
        return _Labelled(ray_metrics.Histogram(f"adagen_{name}", text, **options), names)

    def _gauge(self, name: str, text: str, *names: str) -> Any:
        return _Labelled(ray_metrics.Gauge(f"adagen_{name}", text, tag_keys=names), names)

    def text(self) -> bytes:
        """Refuse to show one replica's metrics for those of all."""
        message = "metrics: Ray has those of all replicas, at the metrics port of each node"
        raise HTTPError(Fault(404, message, "not_found"))


class _Labelled:
    """A metric of Ray with the interface of the library prometheus-client."""

    def __init__(self, metric: Any, names: tuple[str, ...], *values: str) -> None:
        self._metric = metric
        self._names = names
        self._tags = dict(zip(names, values, strict=False))

    def labels(self, *values: str) -> _Labelled:
        return _Labelled(self._metric, self._names, *values)

    def inc(self, amount: float = 1) -> None:
        if amount:  # Ray takes no zero
            self._metric.inc(amount, self._tags)

    def observe(self, value: float) -> None:
        self._metric.observe(value, self._tags)

    def set(self, value: float) -> None:
        self._metric.set(value, self._tags)
