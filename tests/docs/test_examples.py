"""The examples of the documentation run."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
from process import run_python

ROOT = Path(__file__).parents[2]
#: Where the examples of a client expect the server.
ADDRESS = "127.0.0.1:8000"
#: Where those that speak gRPC do.
GRPC_ADDRESS = "127.0.0.1:9000"
#: Where those of Triton do; `pytest -m triton` makes the same calls.
TRITON = "127.0.0.1:8001"


def examples():
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        blocks = re.finditer(r"^```python\n(.*?)^```", path.read_text("utf-8"), re.M | re.S)
        for number, block in enumerate(blocks, 1):
            yield pytest.param(block[1], id=f"{path.stem}-{number}")


@pytest.fixture(scope="module")
def address():
    """The address of a server for the examples that ask one."""
    for module in ("fastapi", "uvicorn", "prometheus_client", "opentelemetry"):
        pytest.importorskip(module, reason="needs the extra serve")
    from http_server import running

    from adagen_rt.serving import BatchEngine
    from adagen_rt.serving.http import Fleet, Settings, create_app

    with BatchEngine("fashion-maskgit", threads=1) as engine:
        app = create_app(Fleet.of(engine), Settings(timeout=60, token=None))
        with running(app) as port:
            yield f"127.0.0.1:{port}"


@pytest.fixture(scope="module")
def grpc_address():
    """The address of a server that speaks gRPC."""
    for module in ("fastapi", "grpc", "google.protobuf"):
        pytest.importorskip(module, reason="needs the extra grpc")
    from contextlib import ExitStack

    from grpc_server import started

    with ExitStack() as stack:
        yield started(stack, "fashion-maskgit", "fashion-maskgit").address


@pytest.mark.parametrize("code", list(examples()))
def test_it_runs(code, tmp_path, request):
    for module in re.findall(r"^(?:import|from) (\w+)", code, re.M):
        if find_spec(module) is None:
            pytest.skip(f"needs {module}")
    if TRITON in code:
        pytest.skip("needs Triton")
    if GRPC_ADDRESS in code:
        code = code.replace(GRPC_ADDRESS, request.getfixturevalue("grpc_address"))
    if ADDRESS in code:
        code = code.replace(ADDRESS, request.getfixturevalue("address"))
    done = run_python(code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_there_are_some():
    assert len(list(examples())) >= 12
