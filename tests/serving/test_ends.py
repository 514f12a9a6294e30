"""How an engine's thread ends, hangs or dies, and who learns of it."""

import threading
import time

import pytest
from process import run_python
from tiny_engine import build_tiny_engine

from adagen_rt.errors import StoppedError
from adagen_rt.serving import BatchEngine

WAIT = 30
#: A program that ends while jobs run, by its last line or by an error.
CARELESS = """
import sys
from adagen_rt.serving import BatchEngine

engine = BatchEngine(sys.argv[1], max_batch=4, threads=1)
jobs = [engine.submit(0, seed, steps=1000) for seed in range(20)]
if sys.argv[2] == "error":
    raise ValueError("careless")
"""


@pytest.fixture
def engine(tmp_path):
    with BatchEngine(build_tiny_engine(tmp_path / "tiny"), max_batch=2, threads=1) as made:
        yield made


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_what_a_callback_raises_ends_nobody_elses_work(engine, error):
    class Broken:
        def __getattr__(self, name):
            raise error

    def fail(progress):
        raise error

    engine.observers.append(Broken())
    engine.submit(0, 0, watch=fail).result(WAIT)
    engine.submit(1, 1).result(WAIT)
    assert engine.alive


@pytest.mark.parametrize("drain", [True, False])
def test_a_callback_may_close_the_engine(engine, drain):
    closed = threading.Event()

    def close(progress):
        engine.close(drain=drain)
        closed.set()

    job = engine.submit(0, 0, watch=close)
    assert closed.wait(WAIT)
    if drain:
        job.result(WAIT)
    with pytest.raises(StoppedError):
        engine.submit(0, 0)
    engine._worker.thread.join(WAIT)
    assert not engine.alive


@pytest.mark.parametrize(("how", "status"), [("end", 0), ("error", 1)])
def test_a_program_that_closes_nothing_ends_cleanly(tmp_path, how, status):
    done = run_python(CARELESS, build_tiny_engine(tmp_path / "tiny"), how)
    assert done.returncode == status, done.stderr
    assert "terminate" not in done.stderr


def test_a_thread_that_dies_leaves_nobody_waiting(engine, monkeypatch, caplog):
    asked = threading.Event()

    def die():
        assert asked.wait(WAIT)
        raise SystemExit

    monkeypatch.setattr(engine._scheduler, "step", die)
    jobs = [engine.submit(0, seed) for seed in range(4)]
    asked.set()
    for job in jobs:
        with pytest.raises(StoppedError, match="has ended"):
            job.result(WAIT)
    engine._worker.thread.join(WAIT)
    assert not engine.alive
    with pytest.raises(StoppedError):
        engine.submit(0, 9)
    assert "the thread of tiny has ended" in caplog.text


def test_a_thread_that_hangs_is_noticed_while_there_is_work(gated):
    with gated(max_batch=1) as (engine, gate):
        assert engine.stalled == 0
        job = engine.submit(0, 0)
        assert gate.entered.acquire(timeout=WAIT)
        before = engine.stalled
        time.sleep(0.02)
        assert engine.stalled >= before + 0.02
        gate.open()
        job.result(WAIT)
        while engine._ledger.open:
            pass
        assert engine.stalled == 0
