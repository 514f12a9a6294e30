"""Builds that stop half way, and builds at the same time."""

import json
import os
import signal
import threading
from pathlib import Path

import fake_tensorrt
import pytest
from process import start_python

from adagen_rt.backends.tensorrt.build import build_plans
from adagen_rt.backends.tensorrt.network import make_monitor
from adagen_rt.backends.tensorrt.record import damage, read_record
from adagen_rt.engine.folder import open_engine

TESTS = Path(__file__).parents[2]


def snapshot(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def child(code, *arguments):
    """Python with a stand-in for tensorrt_rtx."""
    prelude = (
        "import os, signal, sys; from pathlib import Path\n"
        "import fake_tensorrt\n"
        "sys.modules['tensorrt_rtx'] = fake_tensorrt.make_module('1.7.1')\n"
        "from adagen_rt.backends.tensorrt.build import build_plans\n"
        "from adagen_rt.engine.folder import open_engine\n"
    )
    return start_python(prelude + code, *arguments, env={**os.environ, "PYTHONPATH": str(TESTS)})


def test_an_exception_tells_tensorrt_to_stop():
    told = []

    def report(*news):
        told.append(news)
        if len(told) == 3:
            raise KeyboardInterrupt

    monitor = make_monitor(fake_tensorrt.make_module(), report)
    monitor.phase_start("Building", None, 9)
    assert monitor.step_complete("Building", 0)
    assert not monitor.step_complete("Building", 1)
    assert not monitor.step_complete("Building", 2)
    monitor.phase_finish("Building")
    assert told == [("Building", done, 9) for done in (0, 1, 2)]
    assert isinstance(monitor.error, KeyboardInterrupt)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_build_leaves_the_older_plans(own_engine, stand_in, error):
    stand_in("tensorrt-rtx")
    engine = open_engine(own_engine)
    folder = build_plans(engine, "tensorrt-rtx")
    before = snapshot(folder)

    def stop(graph, phase, done, steps):
        if graph == "backbone" and done == 1:
            raise error

    with pytest.raises(error):
        build_plans(engine, "tensorrt-rtx", batches=(2,), progress=stop)
    assert snapshot(folder) == before
    assert [path.name for path in folder.parent.iterdir()] == ["tensorrt-rtx"]


def test_a_signal_ends_a_build_outside_of_tensorrts_callbacks(own_engine, stand_in):
    stand_in("tensorrt-rtx")
    told = []

    class EndedError(BaseException):
        pass

    def end(number, frame):
        raise EndedError

    def report(graph, phase, done, steps):
        told.append((graph, threading.current_thread()))
        if len(told) == 1:
            os.kill(os.getpid(), signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, end)
    try:
        with pytest.raises(EndedError):
            build_plans(open_engine(own_engine), "tensorrt-rtx", progress=report)
    finally:
        signal.signal(signal.SIGUSR1, before)
    graphs, threads = map(set, zip(*told, strict=True))
    assert len(graphs) == 1
    assert threading.main_thread() not in threads


def test_a_killed_build_leaves_the_older_plans(own_engine, stand_in):
    stand_in("tensorrt-rtx")
    folder = build_plans(open_engine(own_engine), "tensorrt-rtx")
    before = snapshot(folder)
    code = (
        "def stop(graph, phase, done, steps):\n"
        "    if graph == 'backbone': os.kill(os.getpid(), signal.SIGKILL)\n"
        "build_plans(open_engine(sys.argv[1]), 'tensorrt-rtx', batches=(2,), progress=stop)\n"
    )
    assert child(code, own_engine).wait(timeout=60) == -signal.SIGKILL
    assert snapshot(folder) == before


def test_two_builds_at_once_leave_one_intact_set(own_engine):
    code = (
        "engine, batch = open_engine(sys.argv[1]), int(sys.argv[2])\n"
        "for _ in range(20):\n"
        "    build_plans(engine, 'tensorrt-rtx', batches=(batch,))\n"
    )
    builders = [child(code, own_engine, batch) for batch in (1, 2)]
    assert [builder.wait(timeout=120) for builder in builders] == [0, 0]
    folder = own_engine / "plans" / "tensorrt-rtx"
    record = read_record(folder)
    assert list(damage(folder, record)) == []
    (profile,) = record.plans["decoder"].profiles
    assert json.loads((folder / "decoder.plan").read_text())["profiles"] == [
        {name: list(shape) for name, shape in profile.items()}
    ]
    assert [path.name for path in folder.parent.iterdir()] == ["tensorrt-rtx"]
