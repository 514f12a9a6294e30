"""Whatever is under way, an image is the one that `generate` makes."""

import random
import threading

import numpy as np
import pytest
from tiny_engine import Options, build_tiny_engine

from adagen_rt import load
from adagen_rt.serving import BatchEngine

FAMILIES = ("fashion-maskgit", "fashion-dit", "fashion-sit", "fashion-var")


def check(image, pipeline, **options):
    """An image against the same one made alone."""
    made = pipeline.generate([image.label], [image.seed], **options)
    assert np.abs(image.pixels.astype(int) - made.images[0]).max() <= 1
    for name, values in made.schedule.items():
        np.testing.assert_allclose(image.schedule[name], values[:, 0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_samples_that_come_one_by_one_are_those_of_generate(family):
    labels = [i % 10 for i in range(10)]
    expected = load(family, threads=1).generate(labels, list(range(10)))
    arrived = threading.Event()
    with BatchEngine(family, max_batch=4, max_queue=16, threads=1) as engine:
        jobs = []
        for i, label in enumerate(labels):
            # The next comes when this one is under way, so that steps get mixed.
            arrived.clear()
            jobs.append(engine.submit(label, i, watch=lambda progress: arrived.set()))
            if i < 6:
                assert arrived.wait(30)
        images = [job.result(60) for job in jobs]
    for i, image in enumerate(images):
        assert (image.label, image.seed) == (labels[i], i)
        assert np.abs(image.pixels.astype(int) - expected.images[i]).max() <= 1
        assert image.schedule.keys() == expected.schedule.keys()
        for name, values in expected.schedule.items():
            np.testing.assert_allclose(image.schedule[name], values[:, i], rtol=1e-3, atol=1e-5)
    assert engine.stats().finished == {"ok": 10}


@pytest.mark.parametrize("family", ["fashion-maskgit", "fashion-dit"])
def test_samples_at_different_steps_share_a_batch(family):
    seen = []

    class Sizes:
        def stepped(self, slots, seconds):
            seen.append(slots)

        def queued(self, job): ...
        def started(self, job, seconds): ...
        def ended(self, job, outcome, seconds): ...

    steps = load(family, threads=1).manifest.schedule.steps
    under_way = threading.Event()
    with BatchEngine(family, max_batch=4, threads=1) as engine:
        engine.observers.append(Sizes())
        first = engine.submit(0, 0, watch=lambda progress: under_way.set())
        assert under_way.wait(30)
        second = engine.submit(1, 1)
        first.result(30), second.result(30)
    assert 2 in seen
    assert len(seen) < 2 * steps


@pytest.mark.parametrize(
    "options",
    [
        {"steps": 3},
        {"schedule": "static"},
        {"fidelity": 0.5},
        {"refine": 3},
        {"best_of": 3},
        {"refine": 2, "best_of": 2, "fidelity": 1.0},
    ],
)
def test_options_mean_what_they_mean_to_generate(options, tmp_path):
    folder = build_tiny_engine(tmp_path / "tiny", Options(judges=True))
    pipeline = load(folder, threads=1)
    with BatchEngine(folder, max_batch=4, threads=1) as engine:
        plain = [engine.submit(0, seed) for seed in range(3)]
        asked = [engine.submit(seed % 3, seed, **options) for seed in range(6)]
        for job in plain:
            check(job.result(30), pipeline)
        for job in asked:
            image = job.result(30)
            made = pipeline.generate([job.label], [job.seed], **options)
            np.testing.assert_array_equal(image.pixels, made.images[0])
            assert image.seed == made.seeds[0]


def test_backbone_rows_are_counted(tmp_path):
    folder = build_tiny_engine(tmp_path / "tiny", Options(judges=True))
    pipeline = load(folder, threads=1)
    for options in ({}, {"best_of": 3}, {"refine": 3}):
        expected = pipeline.generate([1], [5], **options).timings.backbone_rows
        with BatchEngine(folder, threads=1) as engine:
            rows = engine.submit(1, 5, **options).result(30).backbone_rows
        if "best_of" not in options:
            assert rows == expected
        assert rows > 0


def test_many_threads_with_mixed_options_all_get_their_own_image(tmp_path):
    folder = build_tiny_engine(tmp_path / "tiny", Options(judges=True))
    pipeline = load(folder, threads=1)
    choices = ({}, {"schedule": "static"}, {"steps": 2}, {"fidelity": 0.3}, {"best_of": 2})
    expected = {
        (label, seed, i): pipeline.generate([label], [seed], **choices[i]).images[0]
        for label in range(3)
        for seed in range(4)
        for i in range(len(choices))
    }
    wrong, done = [], []

    def client(number):
        rng = random.Random(number)
        for _ in range(40):
            key = rng.randrange(3), rng.randrange(4), rng.randrange(len(choices))
            if rng.random() < 0.1:
                with pytest.raises(Exception, match="label"):
                    engine.submit(77)
            job = engine.submit(key[0], key[1], **choices[key[2]])
            if rng.random() < 0.2:
                job.cancel()
                continue
            if not np.array_equal(job.result(60).pixels, expected[key]):
                wrong.append(key)
            done.append(key)

    with BatchEngine(folder, max_batch=5, max_queue=64, threads=1) as engine:
        threads = [threading.Thread(target=client, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    stats = engine.stats()
    assert not wrong
    assert stats.running == stats.queued == 0
    assert stats.finished["ok"] >= len(done)
    assert sum(stats.finished.values()) == 8 * 40
