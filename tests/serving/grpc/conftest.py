"""Servers with gRPC in front of tiny engines."""

from contextlib import ExitStack

import pytest
from grpc_server import started

from adagen_rt import load


@pytest.fixture(scope="session")
def offline(judged_engine):
    """Returns a function from labels, seeds and options to the images without a server."""
    pipeline = load(judged_engine, threads=1)
    return pipeline.generate


@pytest.fixture(scope="module")
def service(judged_engine):
    """A server of the engine ``tiny``, which has every graph."""
    with ExitStack() as stack:
        yield started(stack, judged_engine)


@pytest.fixture
def start(judged_engine):
    """Returns a function that starts a server of a small engine, which a gate can hold."""
    with ExitStack() as stack:
        yield lambda **options: started(stack, judged_engine, **options)
