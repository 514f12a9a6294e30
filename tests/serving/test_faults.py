"""Faults at inconvenient moments: nothing hangs, no slot is lost, nobody else is harmed."""

import threading
from concurrent.futures import CancelledError

import numpy as np
import pytest
from tiny_engine import Options, build_tiny_engine

from adagen_rt import load
from adagen_rt.serving import BatchEngine

WAIT = 10


class Faulty:
    """A graph that fails, or answers otherwise, at chosen calls."""

    def __init__(self, graph, answer):
        self._graph = graph
        self._answer = answer
        self.calls = 0

    def run(self, inputs):
        self.calls += 1
        return self._answer(self.calls, self._graph.run(inputs))


class Moment:
    """An observer that acts when a job gets its slot, before its first step."""

    def __init__(self, act):
        self.started = lambda job, seconds: act(job)
        self.queued = self.stepped = self.ended = lambda *facts: None


def fail_at(*numbers):
    def answer(call, outputs):
        if call in numbers:
            raise RuntimeError(f"call {call}")
        return outputs

    return answer


@pytest.fixture
def judged(tmp_path):
    """Returns a function that makes an engine with one faulty graph."""
    folder = build_tiny_engine(tmp_path / "tiny", Options(judges=True))

    def make(name, answer, **options):
        pipeline = load(folder, threads=1)
        engine = BatchEngine(pipeline, **options)
        sessions = pipeline.sampler.assembly.sessions
        faulty = sessions[name] = Faulty(sessions[name], answer)
        return engine, faulty

    return make


def assert_well(engine, folder):
    """Every slot is free, and the next image is right."""
    expected = load(folder, threads=1).generate([1], [7])
    jobs = [engine.submit(1, 7) for _ in range(engine.max_batch)]
    for job in jobs:
        np.testing.assert_array_equal(job.result(WAIT).pixels, expected.images[0])
    engine.close()
    assert engine.stats().running == 0


def test_an_error_of_the_reward_model_fails_that_job_alone(judged, tmp_path):
    engine, reward = judged("reward", fail_at(1), max_batch=4)
    other = engine.submit(0, 0)
    with pytest.raises(RuntimeError, match="call 1"):
        engine.submit(1, 1, best_of=2).result(WAIT)
    other.result(WAIT)
    assert reward.calls == 1
    assert_well(engine, tmp_path / "tiny")


def test_an_error_of_a_preview_leaves_no_job_of_its_batch_without_an_end(tmp_path):
    # Decoded are the blocker, class 2 when it fails, and then the preview of class 0.
    pipeline = load(build_tiny_engine(tmp_path / "tiny", Options(nan_logits=2)), threads=1)
    engine = BatchEngine(pipeline, max_batch=2)
    sessions = pipeline.sampler.assembly.sessions
    sessions["decoder"] = Faulty(sessions["decoder"], fail_at(3))
    both = threading.Event()
    engine.observers.append(Moment(lambda job: both.wait(WAIT)))
    blocker = engine.submit(1, 9, steps=1)
    jobs = [engine.submit(2, 0), engine.submit(0, 1, watch=lambda progress: None)]
    both.set()
    blocker.result(WAIT)
    for job in jobs:
        with pytest.raises(RuntimeError, match="call 3"):
            job.result(WAIT)
    assert_well(engine, tmp_path / "tiny")


def test_a_job_cancelled_as_it_gets_its_slot_is_never_computed(gated):
    with gated(max_batch=1) as (engine, gate):
        gate.open()
        engine.observers.append(Moment(lambda job: job.cancel() if job.seed == 1 else None))
        with pytest.raises(CancelledError):
            engine.submit(0, 1).result(WAIT)
        engine.submit(0, 2).result(WAIT)
        assert len(gate.rows) <= 4
    assert engine.stats().finished == {"cancelled": 1, "ok": 1}


def test_a_job_cancelled_while_the_scheduler_looks_away_is_never_computed(gated):
    with gated(max_batch=1) as (engine, gate):
        first = engine.submit(0, 0)
        assert gate.entered.acquire(timeout=WAIT)
        waiting = engine.submit(0, 1)
        # Cancelled, and the engine has not been told yet.
        waiting.future._done_callbacks.clear()
        waiting.cancel()
        gate.open()
        first.result(WAIT)
        engine.submit(0, 2).result(WAIT)
        assert len(gate.rows) <= 8


def test_of_candidates_a_reward_that_is_no_number_never_wins(judged):
    def answer(call, outputs):
        return {"reward": np.full_like(outputs["reward"], np.nan)} if call == 1 else outputs

    engine, _ = judged("reward", answer, max_batch=1)
    with engine:
        image = engine.submit(0, 5, best_of=2).result(WAIT)
    assert image.seed != 5


@pytest.mark.parametrize("fault", ["start", "step"])
def test_an_error_fails_its_batch_and_no_other_lane(fault, judged, tmp_path, monkeypatch):
    engine, _ = judged("reward", fail_at(), max_batch=4)
    plain = [engine.submit(0, seed) for seed in range(2)]
    from adagen_rt.sampling.loop import Loop

    original = getattr(Loop, fault)

    def broken(loop, *arguments):
        if loop.rule.steps == 3:
            raise RuntimeError(fault)
        return original(loop, *arguments)

    monkeypatch.setattr(Loop, fault, broken)
    odd = engine.submit(0, 0, steps=3)
    with pytest.raises(RuntimeError, match=fault):
        odd.result(WAIT)
    for job in plain:
        job.result(WAIT)
    assert_well(engine, tmp_path / "tiny")


def test_a_deadline_that_passes_during_a_look_at_the_queue_is_not_lost(gated, monkeypatch):
    from adagen_rt.errors import DeadlineError
    from adagen_rt.serving.batching.order import Order

    looks = []

    def late(order):
        """On time at the first look, late at every other."""
        if order.timeout is not None:
            looks.append(order)
        return len(looks) > 1 and order.timeout is not None

    with gated(max_batch=1) as (engine, gate):
        first = engine.submit(0, 0)
        assert gate.entered.acquire(timeout=WAIT)
        monkeypatch.setattr(Order, "late", property(late))
        job = engine.submit(0, 1, timeout=5)
        gate.open()
        with pytest.raises(DeadlineError):
            job.result(WAIT)
        first.result(WAIT)
