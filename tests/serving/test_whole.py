"""An engine over a pipeline whose steps the host does not see, as those on GPUs are."""

from contextlib import contextmanager

import numpy as np
import pytest
from tiny_engine import Options, build_tiny_engine

from adagen_rt import load
from adagen_rt.errors import InputError, SampleError
from adagen_rt.pipeline.base import Pipeline
from adagen_rt.pipeline.capabilities import Capabilities
from adagen_rt.serving import BatchEngine, Caller

WAIT = 60


class Captured(Pipeline):
    """Has batches of 1 and 4, and shows no steps.

    Attributes:
        sizes: Samples of every run.
    """

    def __init__(self, inner):
        lacks = Capabilities(streams=False, refines=False, batches=(1, 4))
        super().__init__(inner.engine, inner.execution, lacks)
        self._inner, self.sizes = inner, []

    def _run(self, request, batch_size, progress):
        self.sizes.append(len(request))
        return self._inner.run(request, batch_size=batch_size)

    def _score_rows(self, images, rows, batch_size):
        return self._inner.score_rows(images, rows, batch_size)

    def _close(self):
        self._inner.close()


@pytest.fixture
def inner(tmp_path):
    return load(build_tiny_engine(tmp_path / "tiny", Options(judges=True)), threads=1)


@contextmanager
def held(pipeline, **options):
    """An engine whose thread waits until the block is over."""
    with BatchEngine(pipeline, **options) as engine:
        pipeline.sizes.clear()
        with pipeline.turn:
            yield engine


def test_every_size_is_captured_before_the_first_request(inner):
    pipeline = Captured(inner)
    with BatchEngine(pipeline, max_batch=16) as engine:
        assert pipeline.sizes == [1, 4]
        assert engine.max_batch == engine.stats().slots == 4


def test_images_equal_the_pipelines_and_share_batches(inner):
    pipeline, shown = Captured(inner), []
    with held(pipeline) as engine:
        jobs = [engine.submit(1, seed, fidelity=seed / 8) for seed in range(8)]
        jobs.append(engine.submit(2, 5, steps=3, watch=shown.append))
        jobs.append(engine.submit(2, 6, best_of=3))
    images = [job.result(WAIT) for job in jobs]
    for seed, image in enumerate(images[:8]):
        alone = inner.generate([1], [seed], fidelity=seed / 8)
        np.testing.assert_array_equal(image.pixels, alone.images[0])
        for name, values in alone.schedule.items():
            # Products of another number of rows add up in another order.
            np.testing.assert_allclose(image.schedule[name], values[:, 0], rtol=1e-5)
        assert image.steps * (1 + 1) >= image.backbone_rows >= image.steps
    assert max(pipeline.sizes) == 4
    assert len(pipeline.sizes) < len(jobs)
    few, best = inner.generate([2], [5], steps=3), inner.generate([2], [6], best_of=3)
    np.testing.assert_array_equal(images[8].pixels, few.images[0])
    np.testing.assert_array_equal(images[9].pixels, best.images[0])
    assert images[9].seed == best.seeds[0]
    (progress,) = shown  # the end alone
    assert (progress.step, progress.steps) == (3, 3)
    np.testing.assert_array_equal(progress.preview, few.images[0])


def test_one_image_beside_many_is_in_one_of_the_first_batches(inner):
    pipeline, order = Captured(inner), []
    with held(pipeline, max_queue=64) as engine:
        jobs = [engine.submit(0, seed, caller=Caller("greedy", "all")) for seed in range(24)]
        jobs.append(engine.submit(1, 99, caller=Caller("modest", "one")))
        for job in jobs:
            job.future.add_done_callback(lambda future: order.append(future.result().seed))
    for job in jobs:
        job.result(WAIT)
    assert order.index(99) <= 8


def test_the_pace_is_that_of_a_row(inner):
    with BatchEngine(Captured(inner)) as engine:
        engine.submit(0, 0).result(WAIT)
        work = engine.stats().work
        taken = engine.submit(0, 1).result(WAIT).seconds
    assert 0 < work.pace < taken  # of an image with several


def test_what_it_lacks_is_refused(inner):
    with BatchEngine(Captured(inner)) as engine, pytest.raises(InputError, match="refine: got 2"):
        engine.submit(0, 0, refine=2)


def test_an_error_ends_its_batch_and_the_next_succeeds(inner):
    class Failing(Captured):
        def _run(self, request, batch_size, progress):
            if 13 in request.seeds:
                raise RuntimeError("no")
            return super()._run(request, batch_size, progress)

    with BatchEngine(Failing(inner)) as engine:
        with pytest.raises(RuntimeError, match="no"):
            engine.submit(0, 13).result(WAIT)
        assert engine.submit(0, 14).result(WAIT).seed == 14
        assert engine.stats().running == engine.stats().work.rows == 0


def test_a_sample_that_fails_names_its_step(inner, monkeypatch):
    class Broken(Captured):
        def _run(self, request, batch_size, progress):
            result = super()._run(request, batch_size, progress)
            result.failures.update(dict.fromkeys(np.flatnonzero(request.seeds == 13), 2))
            return result

    with BatchEngine(Broken(inner)) as engine:
        with pytest.raises(SampleError, match="step 2"):
            engine.submit(0, 13).result(WAIT)
        engine.submit(0, 14).result(WAIT)
