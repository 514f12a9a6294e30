"""One pipeline, many threads: everybody gets the images that a single thread makes."""

import asyncio
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import running_tensorrt

import adagen_rt
from adagen_rt.backends.tensorrt.build import build_plans
from adagen_rt.engine.folder import open_engine
from adagen_rt.serving import BatchEngine

FAMILIES = ("maskgit", "var", "dit", "sit")


@pytest.fixture(autouse=True)
def _eager_switching():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


def wrong(threads, calls, make, right):
    """How many of the images that threads make are not those of one thread."""

    def work(thread):
        seeds = [(thread + i) % len(right) for i in range(calls)]
        return sum((make(seed) != right[seed]).any() for seed in seeds)

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(work, range(threads)))


def maker(pipeline, **options):
    classes = pipeline.manifest.condition.count
    return lambda seed: pipeline.generate([seed % classes], [seed], **options).images


@pytest.mark.parametrize("threads", [2, 8])
def test_the_tiny_engine(judged_engine, threads):
    make = maker(adagen_rt.load(judged_engine, threads=1))
    right = [make(seed) for seed in range(8)]
    assert wrong(threads, 120 // threads, make, right) == 0


@pytest.mark.parametrize("options", [{"refine": 3}, {"best_of": 2}, {"fidelity": 0.5}], ids=str)
def test_with_the_options_that_ask_more_graphs(judged_engine, options):
    make = maker(adagen_rt.load(judged_engine, threads=1), **options)
    right = [make(seed) for seed in range(8)]
    assert wrong(4, 20, make, right) == 0


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_shipped_engines(family, backend):
    pytest.importorskip(backend)
    make = maker(adagen_rt.load(f"fashion-{family}", backend=backend, threads=1))
    right = [make(seed) for seed in range(4)]
    assert wrong(2, 4, make, right) == 0
    assert wrong(8, 2, make, right) == 0


def test_the_captured_pipeline(monkeypatch, tiny_engine, tmp_path):
    running_tensorrt.install(monkeypatch)
    folder = shutil.copytree(tiny_engine, tmp_path / "engine")
    build_plans(open_engine(folder), "tensorrt", batches=(1, 2))
    make = maker(adagen_rt.load(folder, backend="tensorrt"))
    right = [make(seed) for seed in range(6)]
    assert wrong(6, 20, make, right) == 0


def test_asyncio():
    pipeline = adagen_rt.load("fashion-dit", threads=1)
    make = maker(pipeline)
    right = [make(seed) for seed in range(4)]

    async def all_at_once():
        return await asyncio.gather(*(asyncio.to_thread(make, seed % 4) for seed in range(12)))

    for number, images in enumerate(asyncio.run(all_at_once())):
        np.testing.assert_array_equal(images, right[number % 4])


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("refine", [1, 2])
def test_a_stream_lets_others_in_between_its_steps(family, refine):
    pipeline = adagen_rt.load(f"fashion-{family}", threads=1)
    right = pipeline.generate([1, 2], [3, 4], refine=refine).images
    other = pipeline.generate([5], [6]).images
    shown = [step.preview() for step in pipeline.stream([1, 2], [3, 4], refine=refine)]
    np.testing.assert_array_equal(shown[-1], right)
    steps = []
    for step in pipeline.stream([1, 2], [3, 4], refine=refine):
        np.testing.assert_array_equal(pipeline.generate([5], [6]).images, other)
        steps.append(step)
    for step, expected in zip(steps, shown, strict=True):
        np.testing.assert_array_equal(step.preview(), expected)


def test_streams_of_several_threads():
    pipeline = adagen_rt.load("fashion-var", threads=1)

    def last(seed):
        return [step.preview() for step in pipeline.stream([seed], [seed])][-1]

    right = [last(seed) for seed in range(4)]
    assert wrong(4, 3, last, right) == 0


def test_what_a_step_shows_may_be_looked_at_elsewhere(judged_pipeline):
    """A callback hands its steps to another thread, as a window does."""
    plain = []
    judged_pipeline.generate([0, 1], [2, 3], progress=lambda step: plain.append(step.preview()))
    with ThreadPoolExecutor(2) as pool:
        shown = []
        for _ in range(8):
            judged_pipeline.generate(
                [0, 1], [2, 3], progress=lambda step: shown.append(pool.submit(step.preview))
            )
    for number, preview in enumerate(shown):
        np.testing.assert_array_equal(preview.result(), plain[number % len(plain)])


def test_a_callback_may_generate(judged_pipeline):
    right = judged_pipeline.generate([0, 1], [2, 3]).images
    result = judged_pipeline.generate(
        [0, 1], [2, 3], progress=lambda step: judged_pipeline.generate([2], [9])
    )
    np.testing.assert_array_equal(result.images, right)


def test_a_pipeline_beside_the_server_that_uses_it():
    pipeline = adagen_rt.load("fashion-dit", threads=1)
    make = maker(pipeline)
    right = [make(seed) for seed in range(4)]
    with BatchEngine(pipeline, max_batch=4) as engine:
        jobs = [engine.submit(seed % 4, seed % 4) for seed in range(12)]
        assert wrong(2, 6, make, right) == 0
        for number, job in enumerate(jobs):
            np.testing.assert_array_equal(job.result().pixels, right[number % 4][0])


def test_scores(judged_pipeline):
    images = judged_pipeline.generate([0, 1], [2, 3]).images
    right = judged_pipeline.score(images, [0, 1])
    with ThreadPoolExecutor(4) as pool:
        scores = list(pool.map(lambda _: judged_pipeline.score(images, [0, 1]), range(40)))
        list(pool.map(lambda seed: judged_pipeline.generate([0], [seed], best_of=2), range(10)))
    assert all((score == right).all() for score in scores)
