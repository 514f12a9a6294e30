"""A replica of Ray Serve: all engines, behind the application of `adagen-rt serve`."""

# No `from __future__ import annotations`: Serve looks at what build's argument is annotated with,
# and would pass a dict for the name of a class.

import logging
import os

from ray import serve
from ray.serve import Application
from starlette.types import ASGIApp

from adagen_rt.engine.folder import open_engine
from adagen_rt.errors import InputError, StoppedError
from adagen_rt.pipeline.stepwise import StepwisePipeline
from adagen_rt.serving import BatchEngine
from adagen_rt.serving.grpc.calls import Application as Requests
from adagen_rt.serving.grpc.service import Service
from adagen_rt.serving.http import Fleet, Settings, create_app
from adagen_rt.serving.http.connections import ConnectionLimits
from adagen_rt.serving.http.pauses import shorten_pauses
from adagen_rt.serving.http.telemetry import LOGGER
from adagen_rt.serving.ray.calls import Calls
from adagen_rt.serving.ray.metrics import RayMetrics
from adagen_rt.serving.ray.options import Options

#: Seconds beyond the last image's deadline that a replica has to end.
LAST_SECONDS = 10.0


@serve.deployment
@serve.ingress()
class Replica(Calls):
    """Engines of one process, which answers once all of them are warm.

    Args:
        options: The application's options.
    """

    def __init__(self, options: Options) -> None:
        if os.getpriority(os.PRIO_PROCESS, 0) > 0:
            # Ray gives way to everything else on the machine, the proxy included.
            told = "this replica gives way to others; RAY_worker_niceness=0 of `ray start` does not"
            logging.getLogger(LOGGER).warning(told)
        self._options = options
        shorten_pauses()
        self._metrics = RayMetrics()
        self._fleet = Fleet.of(*_load(options))
        for engine in self._fleet.engines:
            self._metrics.watch(engine)

    def __serve_build_asgi_app__(self) -> ASGIApp:
        """Make the application; Serve calls this after the engines are warm."""
        options = self._options
        settings = Settings(
            token=options.token,
            timeout=options.timeout,
            request_cost=options.max_cost,
            allowed_hosts=options.allowed_hosts,
        )
        app = create_app(self._fleet, settings, self._metrics)
        self.service = Service(Requests(app), settings, ConnectionLimits(), "grpc")
        return app

    def check_health(self) -> None:
        """Tell Serve whether to replace this replica.

        Raises:
            StoppedError: An engine has no thread, or its thread makes no steps.
        """
        self._metrics.sample()
        if not self._fleet.ready or self._fleet.stalled >= self._options.ready_seconds:
            raise StoppedError("an engine makes no steps")

    def __del__(self) -> None:
        """End the engines; Serve has waited for requests until now."""
        fleet = getattr(self, "_fleet", None)
        if fleet is not None:
            fleet.close(drain=False)


def _load(options: Options) -> list[BatchEngine]:
    """Load engines, after all of them were found to be whole."""
    given = options.engines
    rows = list(given.items()) if isinstance(given, dict) else [(None, place) for place in given]
    opened = {}
    for name, place in rows:
        engine = open_engine(place).named(name)
        if engine.manifest.name in opened:
            raise InputError("engines", engine.manifest.name, "engines of different names")
        opened[engine.manifest.name] = engine
    sizes = options.model_dump(include={"max_batch", "max_queue", "max_queue_cost", "max_side"})
    return [
        BatchEngine(StepwisePipeline(engine, threads=options.threads), **sizes)
        for engine in opened.values()
    ]


def build(options: Options) -> Application:
    """Make the application; ``import_path: adagen_rt.serving.ray:build`` of a Serve config."""
    places = options.places
    deployed = Replica.options(  # type: ignore[attr-defined]
        autoscaling_config={
            "min_replicas": options.min_replicas,
            "max_replicas": options.max_replicas,
            "target_ongoing_requests": options.target_ongoing_requests or options.slots,
        },
        max_ongoing_requests=places,
        # Beyond these, clients are told at once, as by a full queue of ours.
        max_queued_requests=places,
        health_check_period_s=options.health_check_period_s,
        health_check_timeout_s=options.health_check_timeout_s,
        graceful_shutdown_timeout_s=options.timeout + LAST_SECONDS,
        ray_actor_options={"num_cpus": options.threads},
    )
    return deployed.bind(options)
