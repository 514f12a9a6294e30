"""Queue, deadlines, cancelling, failures, the end."""

import asyncio
import gc
import threading
import time
import tracemalloc
from concurrent.futures import CancelledError

import numpy as np
import pytest
from tiny_engine import Options, build_tiny_engine

from adagen_rt import load
from adagen_rt.errors import (
    DeadlineError,
    EngineError,
    InputError,
    QueueFullError,
    SampleError,
    StoppedError,
)
from adagen_rt.serving import BatchEngine


def test_a_full_queue_refuses_at_once_and_harms_nobody(gated):
    with gated(max_batch=1, max_queue=3) as (engine, gate):
        jobs = [engine.submit(0, 0)]
        assert gate.entered.acquire(timeout=30)
        jobs += [engine.submit(1, seed) for seed in range(3)]
        with pytest.raises(QueueFullError, match="queue: full, 3 requests wait") as refused:
            engine.submit(2, 9)
        assert refused.value.retry_after > 0
        assert engine.stats().queued == 3
        gate.open()
        assert all(job.result(30).pixels.shape == (4, 4, 1) for job in jobs)


def test_a_deadline_that_passes_in_the_queue_costs_no_compute(gated):
    with gated(max_batch=1) as (engine, gate):
        first = engine.submit(0, 0)
        assert gate.entered.acquire(timeout=30)
        late = engine.submit(1, 1, timeout=0.01)
        time.sleep(0.02)
        gate.open()
        with pytest.raises(DeadlineError, match=r"within 0\.01 s"):
            late.result(30)
        first.result(30)
        rows = len(gate.rows)
        assert rows <= 4
    assert engine.stats().finished == {"ok": 1, "deadline": 1}


def test_a_deadline_that_passes_under_way_frees_the_slot(gated):
    with gated(max_batch=1) as (engine, gate):
        late = engine.submit(1, 1, timeout=0.05)
        assert gate.entered.acquire(timeout=30)
        other = engine.submit(0, 0)
        time.sleep(0.06)
        gate.open()
        with pytest.raises(DeadlineError):
            late.result(30)
        other.result(30)


def test_a_cancelled_job_leaves_before_the_next_step(gated, tmp_path):
    with gated(max_batch=2) as (engine, gate):
        jobs = [engine.submit(0, seed) for seed in range(2)]
        assert gate.entered.acquire(timeout=30)
        jobs[0].cancel()
        with pytest.raises(CancelledError):
            jobs[0].result(30)
        gate.open()
        image = jobs[1].result(30)
        assert gate.rows[-1] == 1
    expected = load(tmp_path / "tiny", threads=1).generate([0], [1])
    np.testing.assert_array_equal(image.pixels, expected.images[0])
    assert engine.stats().finished == {"ok": 1, "cancelled": 1}


def test_a_cancelled_job_leaves_the_queue_at_once(gated):
    with gated(max_batch=1, max_queue=1) as (engine, gate):
        engine.submit(0, 0)
        assert gate.entered.acquire(timeout=30)
        waiting = engine.submit(0, 1)
        with pytest.raises(QueueFullError):
            engine.submit(0, 2)
        waiting.cancel()
        assert engine.stats().queued == 0
        engine.submit(0, 2)
        gate.open()


def test_after_one_abort_a_thousand_succeed(tmp_path):
    folder = build_tiny_engine(tmp_path / "tiny")
    expected = load(folder, threads=1).generate([s % 3 for s in range(50)], list(range(50)))
    with BatchEngine(folder, max_batch=8, max_queue=1000, threads=1) as engine:
        for aborted in (engine.submit(0, seed) for seed in range(4)):
            aborted.cancel()
        jobs = [engine.submit(i % 50 % 3, i % 50) for i in range(1000)]
        for i, job in enumerate(jobs):
            np.testing.assert_array_equal(job.result(60).pixels, expected.images[i % 50])


@pytest.mark.parametrize("fault", ["nan_logits", "nan_policy"])
def test_a_sample_that_fails_fails_alone(fault, tmp_path):
    folder = build_tiny_engine(tmp_path / "tiny", Options(**{fault: 1}))
    expected = load(folder, threads=1).generate([0, 1, 2], [0, 1, 2])
    with BatchEngine(folder, max_batch=4, threads=1) as engine:
        jobs = [engine.submit(label, label) for label in range(3)]
        with pytest.raises(SampleError, match="non-finite number at step") as failed:
            jobs[1].result(30)
        assert failed.value.step == expected.failures[1]
        for label in (0, 2):
            np.testing.assert_array_equal(jobs[label].result(30).pixels, expected.images[label])
    assert engine.stats().finished == {"ok": 2, "failed": 1}


def test_an_error_of_a_batch_fails_it_and_the_next_succeeds(gated):
    with gated(max_batch=2) as (engine, gate):
        graph, gate._graph = gate._graph, None
        jobs = [engine.submit(0, 0), engine.submit(1, 1)]
        gate.open()
        for job in jobs:
            with pytest.raises(AttributeError):
                job.result(30)
        gate._graph = graph
        engine.submit(0, 0).result(30)
        assert engine.stats().running == 0
    assert engine.stats().finished == {"error": 2, "ok": 1}


def test_bad_input_is_refused_by_submit(tmp_path):
    with BatchEngine(build_tiny_engine(tmp_path / "tiny"), max_batch=2, threads=1) as engine:
        for options, message in (
            ({"label": 9}, "label: got 9"),
            ({"label": 0, "seed": -1}, "seeds: got -1"),
            ({"label": 0, "steps": 0}, "steps: got 0"),
            ({"label": 0, "timeout": 0}, "timeout: got 0"),
            ({"label": 0, "timeout": float("nan")}, "timeout: got nan"),
            ({"label": 0, "watch_every": 0}, "watch_every: got 0"),
        ):
            with pytest.raises(InputError, match=message):
                engine.submit(**options)
        with pytest.raises(InputError, match="colour: got 'red', expected one of the options st"):
            engine.submit(0, colour="red")
        with pytest.raises(EngineError, match="critic"):
            engine.submit(0, refine=2)
        assert engine.stats().finished == {}


def test_more_candidates_than_slots_are_refused(tmp_path):
    folder = build_tiny_engine(tmp_path / "tiny", Options(judges=True))
    with BatchEngine(folder, max_batch=2, threads=1) as engine:
        with pytest.raises(InputError, match="refine: got 3, expected at most 2"):
            engine.submit(0, refine=3)
        engine.submit(0, refine=2, best_of=5).result(30)


@pytest.mark.parametrize(("field", "value"), [("max_batch", 0), ("max_queue", 0)])
def test_sizes_are_checked_before_anything_is_loaded(field, value):
    with pytest.raises(InputError, match=f"{field}: got 0"):
        BatchEngine("no such engine", **{field: value})


def test_closing_finishes_what_is_there(gated):
    with gated(max_batch=1) as (engine, gate):
        jobs = [engine.submit(0, seed) for seed in range(3)]
        assert gate.entered.acquire(timeout=30)
        closing = threading.Thread(target=engine.close)
        closing.start()
        while not engine._worker.stopping:
            time.sleep(0.001)
        with pytest.raises(StoppedError, match="takes no more requests"):
            engine.submit(0, 9)
        gate.open()
        closing.join(30)
        assert all(job.future.done() for job in jobs)
    assert engine.stats().finished == {"ok": 3}


def test_closing_without_draining_cancels(gated):
    with gated(max_batch=1) as (engine, gate):
        jobs = [engine.submit(0, seed) for seed in range(3)]
        assert gate.entered.acquire(timeout=30)
        closing = threading.Thread(target=engine.close, kwargs={"drain": False})
        closing.start()
        while not jobs[2].future.cancelled():
            time.sleep(0.001)
        gate.open()
        closing.join(30)
        assert all(job.future.cancelled() for job in jobs)
    assert engine.stats().finished == {"cancelled": 3}


def test_progress_shows_every_step_and_the_last(tmp_path):
    folder = build_tiny_engine(tmp_path / "tiny")
    seen = []
    with BatchEngine(folder, threads=1) as engine:
        image = engine.submit(1, 3, watch=seen.append, watch_every=2).result(30)
    assert next(progress.step for progress in seen) == 2
    last = seen[-1]
    np.testing.assert_array_equal(last.preview, image.pixels)
    for name, values in image.schedule.items():
        np.testing.assert_array_equal(last.schedule[name], values[: len(last.schedule[name])])
        assert np.isnan(values[len(last.schedule[name]) :]).all()


def test_a_watcher_or_an_observer_that_fails_stops_nothing(tmp_path, caplog):
    class Broken:
        def __getattr__(self, name):
            raise RuntimeError(name)

    def fail(progress):
        raise RuntimeError("watcher")

    with BatchEngine(build_tiny_engine(tmp_path / "tiny"), threads=1) as engine:
        engine.observers.append(Broken())
        engine.submit(0, 0, watch=fail).result(30)
        engine.submit(1, 1).result(30)
    assert "an observer failed at ended" in caplog.text
    assert caplog.text.count("is no longer watched") == 1


def test_futures_are_awaited(tmp_path):
    with BatchEngine(build_tiny_engine(tmp_path / "tiny"), threads=1) as engine:

        async def make():
            jobs = [engine.submit(label, label) for label in range(3)]
            return await asyncio.gather(*(asyncio.wrap_future(job.future) for job in jobs))

        assert [image.label for image in asyncio.run(make())] == [0, 1, 2]


def test_a_job_and_its_image_say_what_was_asked_for(tmp_path):
    with BatchEngine(build_tiny_engine(tmp_path / "tiny"), threads=1) as engine:
        job = engine.submit("T-BAR", 3)
        assert (job.condition, job.label, job.seed) == ({"label": 2}, 2, 3)
        image = job.result(30)
    assert (image.condition, image.label, image.seed) == ({"label": 2}, 2, 3)


def test_memory_stays_flat_over_thousands_of_images(tmp_path):
    with BatchEngine(build_tiny_engine(tmp_path / "tiny"), max_batch=8, max_queue=500) as engine:

        def burst():
            for job in [engine.submit(i % 3, i) for i in range(500)]:
                job.result(60)

        burst()
        gc.collect()
        tracemalloc.start()
        try:
            burst()
            gc.collect()
            before = tracemalloc.get_traced_memory()[0]
            for _ in range(3):
                burst()
            gc.collect()
            grown = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()
    assert grown < 50_000
