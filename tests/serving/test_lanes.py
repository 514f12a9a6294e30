"""Who shares a batch with whom, and in which turns."""

import random

import numpy as np
import pytest
from loops import begin, make_loop
from tiny_engine import Options, build_tiny_engine

from adagen_rt import load
from adagen_rt.families.var.rule import VARState
from adagen_rt.serving import BatchEngine

FAMILIES = ("fashion-maskgit", "fashion-dit", "fashion-sit", "fashion-var")
CHOICES = (
    {},
    {"schedule": "static"},
    {"steps": 4},
    {"fidelity": 0.25},
    {"fidelity": 1.0},
    {"refine": 2},
    {"refine": 3, "fidelity": 0.5},
    {"best_of": 2},
)
WAIT = 30


class Watched:
    """Notes the slots of every step, and calls a function before each of the first ones.

    Attributes:
        slots: Of every step.
    """

    def __init__(self, arrivals):
        self.slots = []
        self._arrivals = iter(arrivals)
        self.queued = self.started = self.ended = lambda *facts: None

    def stepped(self, slots, seconds):
        self.slots.append(slots)
        next(self._arrivals, lambda: None)()


def arrive(engine, orders):
    """Submit the first order, and one more after every step; their images, and the slots."""
    jobs = []
    arrivals = [lambda order=order: jobs.append(engine.submit(**order)) for order in orders]
    watched = Watched(arrivals[1:])
    engine.observers.append(watched)
    arrivals[0]()
    images = []
    while len(images) < len(orders):
        images.append(jobs[len(images)].result(WAIT))
    return images, watched.slots


@pytest.mark.parametrize("family", FAMILIES)
def test_mixed_options_at_mixed_steps_change_no_image(family):
    rng = random.Random(family)
    choices = [dict(rng.choice(CHOICES)) for _ in range(10)] + [{}, {"refine": 2}]
    if family == "fashion-var":
        choices = [{k: v for k, v in choice.items() if k != "steps"} for choice in choices]
    orders = [
        {"label": i % 10, "seed": rng.randrange(1 << 62), **choice}
        for i, choice in enumerate(choices)
    ]
    with BatchEngine(family, max_batch=6, max_queue=64, threads=1) as engine:
        images, _ = arrive(engine, orders)
    pipeline = load(family, threads=1)
    for order, image, choice in zip(orders, images, choices, strict=True):
        made = pipeline.generate([order["label"]], [order["seed"]], **choice)
        assert image.seed == made.seeds[0]
        assert np.abs(image.pixels.astype(int) - made.images[0]).max() <= 1
        for name, values in made.schedule.items():
            np.testing.assert_allclose(image.schedule[name], values[:, 0], rtol=1e-3, atol=1e-5)


def test_samples_that_are_refined_share_a_batch_and_their_images_stay(tmp_path):
    folder = build_tiny_engine(tmp_path / "tiny", Options(judges=True))
    orders = [{"label": i % 3, "seed": i, "refine": 2} for i in range(6)]
    with BatchEngine(folder, max_batch=8, threads=1) as engine:
        images, slots = arrive(engine, orders)
    assert max(slots) > 2
    made = load(folder, threads=1).generate([0, 1, 2] * 2, range(6), refine=2)
    np.testing.assert_array_equal([image.pixels for image in images], made.images)


def test_samples_of_var_that_come_while_others_run_share_the_next_batch():
    with BatchEngine("fashion-var", max_batch=8, threads=1) as engine:
        # One arrives after each of the first steps.
        orders = [{"label": i, "seed": i} for i in range(4)]
        images, slots = arrive(engine, orders)
    scales = engine.manifest.schedule.steps
    assert slots == [1] * scales + [3] * scales
    made = load("fashion-var", threads=1).generate(range(4), range(4))
    assert np.abs(np.array([i.pixels for i in images], int) - made.images).max() <= 1


def test_lanes_take_turns(tmp_path):
    folder = build_tiny_engine(tmp_path / "tiny", Options(judges=True))
    with BatchEngine(folder, max_batch=8, threads=1) as engine:
        long = [engine.submit(0, seed, steps=100) for seed in range(4)]
        # However long the other lane is, this one gets every second step.
        engine.submit(1, 0, schedule="static").result(WAIT)
        assert not any(job.future.done() for job in long)
        for job in long:
            job.cancel()


def arrays(state):
    """What a state holds by name, its condition included."""
    values = {**vars(state), **state.condition.arrays}
    del values["condition"]
    return values


def test_states_joined_are_those_that_were_taken_apart():
    loop = make_loop(load("fashion-var", threads=1))
    state, _ = begin(loop, [4, 5, 6], [7, 8, 9])
    for _ in range(2):
        state, _ = loop.step(state)
    assert isinstance(state, VARState)
    whole = state.take(np.array([0])).join(state.take(np.array([1, 2])))
    filled = state.tokens.shape[1]
    for name, values in arrays(state).items():
        mine, theirs = arrays(whole)[name], values
        if name == "cache":  # only so many positions have been written
            mine, theirs = mine[:filled], theirs[:filled]
        np.testing.assert_array_equal(mine, theirs, err_msg=name)
