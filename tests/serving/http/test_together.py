"""Processes that serve together: one estimate of the time to wait, one count of what was done."""

import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from http_server import wait_until

from adagen_rt.serving import Job
from adagen_rt.serving.batching.work import Work, seconds_of

pytest.importorskip("fastapi")


def test_work_is_shared_by_the_pace_of_each():
    assert seconds_of([]) == seconds_of([Work(rows=100)]) == 0
    assert seconds_of([Work(100, 0.01)]) == pytest.approx(1.0)
    assert seconds_of([Work(100, 0.01), Work(0, 0.01)]) == pytest.approx(0.5)
    assert seconds_of([Work(100, 0.01), Work(300, 0.03)]) == pytest.approx(3.0)
    # One that has made no step does its part later; its work counts.
    assert seconds_of([Work(100, 0.01), Work(100, 0.0)]) == pytest.approx(2.0)


NONE = Work()


class Peer:
    """A process with an engine that has something to do, and what it has counted."""

    def __init__(self, folder, work=NONE, name="tiny"):
        from adagen_rt.serving.http.statistics import Statistics
        from adagen_rt.serving.http.together import Together

        self.name, self.work, self.observers, self.elsewhere = name, work, [], ()
        self.statistics = Statistics()
        self.statistics.watch(self)
        self.together = Together(folder, self.statistics)

    def stats(self):
        return SimpleNamespace(work=self.work)

    def make(self, slots, seconds):
        """Count an image that was made in one step."""
        (counter,) = self.observers
        job = Job({}, 0)
        counter.started(job, 0.5)
        counter.stepped(slots, seconds)
        counter.ended(job, "ok", 0.5 + seconds)

    def exchange(self):
        self.together.exchange([self])
        return self.statistics.facts(self.name)


def test_counts_are_those_of_all_processes(tmp_path):
    peers = [Peer(tmp_path) for _ in range(3)]
    for slots, peer in enumerate(peers, start=1):
        peer.make(slots, 2.0)
        peer.make(1, 1.0)
        peer.exchange()
    for peer in peers:
        facts = peer.exchange()
        assert (facts["inference_count"], facts["execution_count"]) == (6, 6)
        assert facts["inference_stats"]["success"] == {"count": 6, "ns": 12 * 10**9}
        assert facts["inference_stats"]["queue"] == {"count": 6, "ns": 3 * 10**9}
        sizes = {one["batch_size"]: one["compute_infer"]["count"] for one in facts["batch_stats"]}
        assert sizes == {1: 4, 2: 1, 3: 1}
        assert facts["last_inference"] > 10**12


def test_the_work_of_those_that_live_is_known(tmp_path, monkeypatch):
    here, there = Peer(tmp_path, Work(100, 0.01)), Peer(tmp_path, Work(300, 0.02))
    other = Peer(tmp_path, Work(7, 7.0), name="another")
    for one in (other, there, here):
        one.exchange()
    assert here.elsewhere == [there.work]
    assert there.elsewhere == other.elsewhere == []
    there.exchange()
    assert there.elsewhere == [here.work]
    there.make(1, 1.0)
    there.exchange()
    now = time.time() + 60
    monkeypatch.setattr(time, "time", lambda: now)
    # What one that is gone has done stays counted, and nobody expects its work of it.
    assert here.exchange()["inference_count"] == 1
    assert here.elsewhere == []


def test_a_place_that_takes_no_more_ends_nobody(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(28, "No space left on device")

    here, there = Peer(tmp_path, Work(1, 0.1)), Peer(tmp_path, Work(2, 0.1))
    there.exchange()
    monkeypatch.setattr(Path, "write_text", refuse)
    here.exchange()
    assert here.elsewhere == [there.work]


def test_what_is_refused_waits_for_the_work_of_all(gated):
    service = gated(max_batch=1, max_queue=1)
    service.gate.shut()
    jobs = [service.engine.submit(0, 0, steps=500)]
    wait_until(lambda: service.engine.stats().running == 1)
    jobs.append(service.engine.submit(0, 1, steps=500))
    service.engine._scheduler.pace = 0.1
    service.engine.elsewhere = [Work(200, 0.1), Work(0, 0.1)]
    refused = service.ask("POST", "/v1/images/generations", {"prompt": 0})
    assert refused.status == 429
    assert int(refused.headers["retry-after"]) == pytest.approx(40, abs=2)
    for job in jobs:
        job.cancel()
