"""Who gets the engine when many want it: turns by cost, between clients and between requests."""

from types import SimpleNamespace

import numpy as np
import pytest
from tiny_engine import Options, build_tiny_engine

from adagen_rt import load
from adagen_rt.errors import InputError, QueueFullError
from adagen_rt.serving import BatchEngine, Caller
from adagen_rt.serving.batching.shares import Shares
from adagen_rt.serving.batching.turns import Turns

WAIT = 30
GREEDY, MODEST = Caller("greedy", "all"), Caller("modest", "one")


def test_keys_take_turns_by_what_they_cost():
    turns = Turns()
    for key in "ab":
        turns.add(key)
    order = []
    for _ in range(8):
        order.append(turns.first)
        turns.charge(turns.first, {"a": 3, "b": 1}[turns.first])
    assert "".join(order).count("a") == 2


def test_who_comes_late_is_owed_nothing():
    turns = Turns()
    turns.add("a")
    for _ in range(100):
        turns.charge("a", 1)
    turns.add("b")
    order = []
    for _ in range(6):
        order.append(turns.first)
        turns.charge(turns.first, 1)
    assert order.count("b") in (3, 4)


def test_who_leaves_after_more_than_its_share_comes_back_behind():
    turns = Turns()
    for key in "abc":
        turns.add(key)
    turns.charge("a", 50)
    turns.remove("a")
    turns.charge("b", 10)
    turns.charge("c", 10)
    turns.add("a")
    turns.add("d")
    for key in "bcd":
        turns.charge(key, 30)
    assert turns.first != "a"


def test_who_leaves_with_less_than_the_others_is_owed_nothing():
    turns = Turns()
    for key in "ab":
        turns.add(key)
    turns.remove("a")
    for _ in range(5):
        turns.charge("b", 10)
    turns.add("a")
    turns.charge("a", 1)
    assert turns.first == "b"


class Ends:
    """Notes who ends, in order, and the size of every step."""

    def __init__(self):
        self.seeds, self.sizes = [], []
        self.queued = self.started = lambda *facts: None

    def stepped(self, slots, seconds):
        self.sizes.append(slots)

    def ended(self, job, outcome, seconds):
        self.seeds.append(job.seed)


@pytest.fixture
def judged(tmp_path):
    return build_tiny_engine(tmp_path / "tiny", Options(judges=True))


def first_held(engine, gate, count, caller):
    """Jobs of a caller, the first of which is in its first step."""
    jobs = [engine.submit(0, 0, caller=caller)]
    assert gate.entered.acquire(timeout=WAIT)
    return jobs + [engine.submit(0, seed, caller=caller) for seed in range(1, count)]


@pytest.mark.parametrize("modest", [MODEST, Caller("greedy", "another"), Caller()])
def test_one_image_waits_for_one_of_the_greedy_and_not_for_all(gated, modest):
    with gated(max_batch=1, max_queue=100) as (engine, gate):
        ends = Ends()
        engine.observers.append(ends)
        jobs = first_held(engine, gate, 20, GREEDY)
        jobs.append(engine.submit(1, 99, caller=modest))
        gate.open()
        for job in jobs:
            job.result(WAIT)
    assert ends.seeds.index(99) <= 2


def test_candidates_of_one_request_take_turns_with_others(judged):
    ends = Ends()
    with BatchEngine(judged, max_batch=1, threads=1) as engine:
        engine.observers.append(ends)
        jobs = [engine.submit(0, 1, best_of=40, steps=20, caller=GREEDY)]
        jobs += [engine.submit(0, seed, caller=MODEST) for seed in (2, 3)]
        jobs[1].result(WAIT)
        jobs[2].result(WAIT)
        assert not jobs[0].future.done()
        jobs[0].cancel()


def test_who_comes_while_a_batch_is_full_steps_at_once(judged):
    """All places are taken for a thousand steps by one request; another is done in its own few."""
    ends = Ends()
    with BatchEngine(judged, max_batch=8, max_queue=100, threads=1) as engine:
        engine.observers.append(ends)
        greedy = [engine.submit(0, seed, steps=1000, caller=GREEDY) for seed in range(20)]
        while len(ends.sizes) < 3:
            pass
        before = len(ends.sizes)
        image = engine.submit(1, 5, caller=MODEST).result(WAIT)
        steps = len(ends.sizes) - before
        assert not any(job.future.done() for job in greedy)
        for job in greedy:
            job.cancel()
    # Its own four steps, and at most as many of the others that came before it was seen.
    assert steps < 100
    assert max(ends.sizes) == 8
    expected = load(judged, threads=1).generate([1], [5])
    np.testing.assert_array_equal(image.pixels, expected.images[0])


class Sample:
    """What shares read of a sample."""

    def __init__(self, client, share=1.0):
        caller = SimpleNamespace(client=client, share=share)
        self.order = SimpleNamespace(caller=caller, request_key=client, weight=1, step_cost=1)


def test_one_sample_is_through_before_the_many_of_another_step_again():
    shares = Shares(16)
    many, one = [Sample("greedy") for _ in range(15)], Sample("modest")
    shares.charge(shares.fit(shares.due(many)))
    alone = 0
    while shares.due([*many, one]) == {one}:
        shares.charge([one])
        alone += 1
    assert alone >= 8  # as many as an image takes
    assert shares.due([*many, one]) == {*many, one}


def test_those_with_about_as_many_samples_step_together():
    shares = Shares(16)
    tasks = [Sample("a"), *[Sample("b") for _ in range(4)], *[Sample("c") for _ in range(5)]]
    assert shares.due(tasks) == set(tasks)


def test_a_larger_share_has_more_samples_in_a_step():
    shares = Shares(16)
    plenty, one = [Sample("high", share=4.0) for _ in range(12)], Sample("low")
    assert shares.due([*plenty, one]) == {*plenty, one}


def test_a_full_step_counts_by_its_share():
    shares = Shares(16)
    low, usual = [Sample("low", share=0.25) for _ in range(16)], [Sample("b") for _ in range(16)]
    steps = 0
    while shares.due([*low, *usual]) == set(usual):
        shares.charge(usual)
        steps += 1
    assert steps == 3  # the low one's step costs as much as four of these


def test_rows_are_shared_equally_however_many_samples_each_has(judged):
    rows = {"greedy": 0, "modest": 0}

    with BatchEngine(judged, max_batch=8, max_queue=100, threads=1) as engine:
        charge = engine._scheduler._shares.charge

        def count(tasks):
            clients = {task.order.caller.client for group in groups() for task in group}
            if len(clients) == 2:
                for task in tasks:
                    rows[task.order.caller.client] += 1
            charge(tasks)

        def groups():
            return [list(group.tasks.values()) for group in engine._scheduler._groups]

        engine._scheduler._shares.charge = count
        greedy = [engine.submit(0, s, steps=200, caller=GREEDY) for s in range(7)]
        modest = engine.submit(1, 5, steps=200, caller=MODEST)
        modest.result(WAIT)
        for job in greedy:
            job.cancel()
    assert rows["modest"] >= 150
    assert rows["greedy"] <= 1.3 * rows["modest"] + 16


def test_a_high_priority_gets_four_times_the_share(judged):
    ends = Ends()
    with BatchEngine(judged, max_batch=1, max_queue=100, threads=1) as engine:
        engine.observers.append(ends)
        jobs = [engine.submit(0, 1000, steps=100)]
        for seed in range(20):
            jobs.append(engine.submit(0, seed, caller=Caller("usual", priority=2)))
            jobs.append(engine.submit(0, 100 + seed, caller=Caller("urgent", priority=1)))
        for job in jobs:
            job.result(WAIT)
    urgent = [i for i, seed in enumerate(ends.seeds) if 100 <= seed < 1000]
    between = ends.seeds[: urgent[-1]]
    assert 3 <= len([seed for seed in between if seed < 100]) <= 8


@pytest.mark.parametrize("priority", [0, 4, 1.5, True])
def test_priorities_that_there_are_not(priority):
    with pytest.raises(InputError, match="priority: got"):
        Caller(priority=priority)


def test_what_waits_is_limited_by_its_cost(gated):
    with gated(max_batch=1, max_queue=100, max_queue_cost=20) as (engine, gate):
        first_held(engine, gate, 1, GREEDY)
        waiting = [engine.submit(0, seed) for seed in range(5)]
        with pytest.raises(QueueFullError, match="20 backbone rows wait"):
            engine.submit(0, 9)
        waiting[0].cancel()
        engine.submit(0, 9)
        gate.open()


def test_one_request_alone_may_wait_whatever_it_costs(gated):
    with gated(max_batch=1, max_queue_cost=1) as (engine, gate):
        first_held(engine, gate, 1, GREEDY)
        engine.submit(0, 1, steps=50)
        with pytest.raises(QueueFullError, match="1 backbone rows wait"):
            engine.submit(0, 2)
        gate.open()


def test_the_time_to_wait_follows_from_what_waits_and_the_pace(gated):
    with gated(max_batch=1, max_queue=10) as (engine, gate):
        first_held(engine, gate, 1, GREEDY)
        for seed in range(10):
            engine.submit(0, seed, steps=1000)
        engine._scheduler.pace = 0.01
        with pytest.raises(QueueFullError) as refused:
            engine.submit(0, 99)
        assert refused.value.retry_after == pytest.approx(100, rel=0.01)
        engine.cancel()
        gate.open()


def test_no_order_is_lost_and_none_costs_anything_at_the_end(judged):
    with BatchEngine(judged, max_batch=4, max_queue=500, threads=1) as engine:
        jobs = [
            engine.submit(i % 3, i, best_of=1 + i % 3, caller=Caller(i % 5, i % 7))
            for i in range(200)
        ]
        for job in jobs[::3]:
            job.cancel()
        for i, job in enumerate(jobs):
            if i % 3:
                job.result(WAIT)
    assert engine._ledger.queue.cost == len(engine._ledger.queue) == engine._scheduler.left == 0
    assert engine._scheduler.seats.taken == engine._scheduler.seats._load == 0
    assert not engine._scheduler.seats._clients
