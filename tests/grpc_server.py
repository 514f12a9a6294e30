"""Servers with gRPC in front of tiny engines."""

from dataclasses import dataclass
from typing import Any

from http_server import Gate, ask, serving

from adagen_rt.engine.folder import open_engine
from adagen_rt.pipeline.stepwise import StepwisePipeline


@dataclass(frozen=True)
class Service:
    """A running server, its ports, and what is behind it."""

    server: Any
    http: int
    port: int
    gate: Gate

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    @property
    def engine(self):
        return self.server.fleet.engines[0]

    def ask(self, method, path, body=None, headers=(), **options):
        return ask(self.http, method, path, body, headers, **options)


def started(stack, engine, name="tiny", limits=None, certificate=None, sizes=(), **settings):
    """Starts a server, which the stack ends."""
    from adagen_rt.serving import BatchEngine
    from adagen_rt.serving.grpc.server import GrpcServer
    from adagen_rt.serving.http import Settings
    from adagen_rt.serving.http.repository import Source

    gate = Gate()
    made = Settings(**settings)
    grpc = GrpcServer("127.0.0.1", 0, made, limits, certificate)

    def make():
        pipeline = StepwisePipeline(open_engine(engine), noise=gate, threads=1)
        return BatchEngine(pipeline, **dict(sizes))

    sources = {name: Source(make)}
    running = serving(sources, made, certificate=certificate, besides=[grpc])
    server, port = stack.enter_context(running)
    stack.callback(gate.open)
    return Service(server, port, grpc.port, gate)
