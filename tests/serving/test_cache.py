"""Images that are kept, and given to who asks for the same again."""

import numpy as np
import pytest
from tiny_engine import Options, build_tiny_engine

from adagen_rt import load
from adagen_rt.errors import SampleError, StoppedError
from adagen_rt.serving import BatchEngine
from adagen_rt.serving.batching.cache import ResultCache

WAIT = 30


@pytest.fixture
def judged(tmp_path):
    return build_tiny_engine(tmp_path / "tiny", Options(judges=True))


def made(engine, *asked, **options):
    return engine.submit(*asked, **options).result(WAIT)


@pytest.mark.parametrize("options", [{}, {"best_of": 3}, {"refine": 2, "fidelity": 0.5}])
def test_the_same_again_is_the_same_image_and_costs_nothing(judged, options):
    with BatchEngine(judged, threads=1, cache_mb=1) as engine:
        first = made(engine, 1, 5, **options)
        again = made(engine, "square", 5, **options)
    assert (first.cached, again.cached) == (False, True)
    assert (again.backbone_rows, again.seconds) == (0, 0)
    assert (again.seed, again.label, again.steps) == (first.seed, 1, 4)
    expected = load(judged, threads=1).generate([1], [5], **options)
    np.testing.assert_array_equal(again.pixels, expected.images[0])
    for name, values in again.schedule.items():
        np.testing.assert_array_equal(values, first.schedule[name])


@pytest.mark.parametrize(
    "other",
    [
        {"label": 2},
        {"seed": 6},
        {"steps": 5},
        {"schedule": "static"},
        {"fidelity": 0.5},
        {"refine": 2},
        {"best_of": 2},
    ],
)
def test_anything_else_is_made(judged, other):
    with BatchEngine(judged, threads=1, cache_mb=1) as engine:
        made(engine, 1, 5)
        asked = {"label": 1, "seed": 5, **other}
        image = made(engine, **asked)
    assert not image.cached
    label, seed = asked.pop("label"), asked.pop("seed")
    expected = load(judged, threads=1).generate([label], [seed], **asked)
    np.testing.assert_array_equal(image.pixels, expected.images[0])


def test_who_changes_an_image_changes_nobody_elses(judged):
    with BatchEngine(judged, threads=1, cache_mb=1) as engine:
        first = made(engine, 1, 5)
        right = first.pixels.copy()
        first.pixels[:] = 0
        again = made(engine, 1, 5)
        np.testing.assert_array_equal(again.pixels, right)
        again.pixels[:] = 0
        np.testing.assert_array_equal(made(engine, 1, 5).pixels, right)


def test_a_failure_is_not_kept(tmp_path):
    bad = build_tiny_engine(tmp_path / "bad", Options(nan_logits=1))
    with BatchEngine(bad, threads=1, cache_mb=1) as engine:
        for _ in range(2):
            with pytest.raises(SampleError):
                made(engine, 1, 5)
        assert engine.stats().cache_bytes == 0
        assert engine.stats().finished["failed"] == 2


def test_who_watches_sees_the_steps(judged):
    seen = []
    with BatchEngine(judged, threads=1, cache_mb=1) as engine:
        made(engine, 1, 5)
        made(engine, 1, 5, watch=seen.append)
    assert [progress.step for progress in seen] == [1, 2, 3, 4]


def test_the_cache_is_bounded_and_keeps_what_was_asked_for_last(judged):
    with BatchEngine(judged, threads=1) as engine:
        assert not made(engine, 1, 5).cached
        assert not made(engine, 1, 5).cached
        image = engine.submit(0, 0)
        image.result(WAIT)
    cache = ResultCache(10_000)
    for number in range(50):
        cache.keep(number, image.future)
        assert cache.bytes <= 10_000
        assert cache.find(0) is not None
    assert cache.find(49) is not None
    assert cache.find(10) is None


def test_a_closed_engine_gives_nothing(judged):
    engine = BatchEngine(judged, threads=1, cache_mb=1)
    made(engine, 1, 5)
    engine.close()
    with pytest.raises(StoppedError):
        engine.submit(1, 5)
