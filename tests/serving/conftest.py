"""Engines that serve, and a way to hold one in the middle of a step."""

import threading
from contextlib import contextmanager

import pytest
from tiny_engine import build_tiny_engine

from adagen_rt import load
from adagen_rt.serving import BatchEngine


class Gate:
    """A backbone that waits until it may run, so that tests decide what is under way."""

    def __init__(self, graph):
        self._graph = graph
        self._open = threading.Event()
        self._open.set()
        self.rows = []
        self.entered = threading.Semaphore(0)

    def run(self, inputs):
        self.rows.append(len(inputs["tokens"]) // 2)
        self.entered.release()
        assert self._open.wait(30)
        return self._graph.run(inputs)

    def shut(self):
        self._open.clear()

    def open(self):
        self._open.set()


@pytest.fixture(scope="session")
def offline(judged_engine):
    """Returns a function from labels, seeds and options to the images without a server."""
    pipeline = load(judged_engine, threads=1)

    def generate(labels, seeds, **options):
        return pipeline.generate(labels, seeds, **options)

    return generate


@pytest.fixture
def gated(tmp_path):
    """Returns a context manager that gives an engine and its gate, shut in its first step."""

    @contextmanager
    def make(**options):
        pipeline = load(build_tiny_engine(tmp_path / "tiny"), threads=1)
        sessions = pipeline.sampler.assembly.sessions
        gate = sessions["backbone"] = Gate(sessions["backbone"])
        with BatchEngine(pipeline, **options) as engine:
            gate.rows.clear()
            gate.entered = threading.Semaphore(0)
            gate.shut()
            try:
                yield engine, gate
            finally:
                gate.open()

    return make
