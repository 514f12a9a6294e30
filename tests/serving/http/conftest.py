"""Servers in front of tiny engines."""

from dataclasses import dataclass
from typing import Any

import pytest
from http_server import Gate, ask, running

from adagen_rt.engine.folder import open_engine
from adagen_rt.pipeline.stepwise import StepwisePipeline


@dataclass(frozen=True)
class Service:
    """A running server and what is behind it."""

    port: int
    engine: Any
    fleet: Any
    app: Any
    gate: Gate | None = None

    def ask(self, method, path, body=None, headers=(), **options):
        return ask(self.port, method, path, body, headers, **options)


@pytest.fixture(scope="module")
def service(judged_engine):
    """A server of the engine ``tiny``, which has every graph."""
    from adagen_rt.serving import BatchEngine
    from adagen_rt.serving.http import Fleet, create_app

    with BatchEngine(judged_engine, threads=1) as engine:
        fleet = Fleet.of(engine)
        app = create_app(fleet)
        with running(app) as port:
            yield Service(port, engine, fleet, app)


@pytest.fixture
def gated(judged_engine):
    """Returns a function that starts a server of a small engine, which a gate can hold."""
    from contextlib import ExitStack

    from adagen_rt.serving import BatchEngine
    from adagen_rt.serving.http import Fleet, Settings, create_app

    with ExitStack() as stack:

        def start(max_batch=1, max_queue=2, **settings):
            gate = Gate()
            pipeline = StepwisePipeline(open_engine(judged_engine), noise=gate)
            engine = BatchEngine(pipeline, max_batch=max_batch, max_queue=max_queue)
            stack.enter_context(engine)
            fleet = Fleet.of(engine)
            app = create_app(fleet, Settings(**settings))
            port = stack.enter_context(running(app))
            stack.callback(gate.open)
            return Service(port, engine, fleet, app, gate)

        yield start
