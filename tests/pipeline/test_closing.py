import gc
import weakref

import pytest

import adagen_rt
from adagen_rt.errors import StoppedError


def uses(pipeline):
    yield lambda: pipeline.generate([0], [1])
    yield lambda: next(pipeline.stream([0], [1]))
    yield lambda: pipeline.sampler


def test_a_block_closes_it(tiny_engine):
    with adagen_rt.load(tiny_engine, threads=1) as pipeline:
        assert pipeline.generate([0], [1]).images.shape[0] == 1
    for use in uses(pipeline):
        with pytest.raises(StoppedError, match=r"^tiny: the pipeline is closed; load it again$"):
            use()


def test_closing_twice_is_closing(tiny_engine):
    pipeline = adagen_rt.load(tiny_engine, threads=1)
    pipeline.close()
    pipeline.close()


def test_a_stream_under_way_ends_with_an_error(tiny_engine):
    pipeline = adagen_rt.load(tiny_engine, threads=1)
    steps = pipeline.stream([0], [1])
    step = next(steps)
    pipeline.close()
    for use in (steps.__next__, step.preview):
        with pytest.raises(StoppedError):
            use()


def test_closing_gives_the_memory_back(tiny_engine):
    pipeline = adagen_rt.load(tiny_engine, threads=1)
    session = weakref.ref(pipeline.sampler.assembly.sessions["backbone"])
    pipeline.close()
    gc.collect()
    assert session() is None


def test_its_repr_says_what_it_is(tiny_engine):
    pipeline = adagen_rt.load(tiny_engine, threads=1)
    assert repr(pipeline) == "<StepwisePipeline tiny: backend='onnxruntime', threads=1>"
    pipeline.close()
    assert repr(pipeline).endswith(", closed>")
