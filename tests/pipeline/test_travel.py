"""What is asked for and what comes back travel between processes; what is loaded does not."""

import pickle

import pytest

import adagen_rt
from adagen_rt.sampling.params import SamplingParams
from adagen_rt.sampling.request import make_request
from adagen_rt.serving import BatchEngine, Caller


def again(value):
    return pickle.loads(pickle.dumps(value))


def test_a_request_asks_for_the_same_elsewhere(judged_pipeline):
    request = make_request(judged_pipeline.manifest, [0, 2], [1, 2], SamplingParams(refine=2))
    assert again(request).params == request.params
    assert judged_pipeline.run(again(request)) == judged_pipeline.run(request)
    assert again(Caller("a", priority=1)) == Caller("a", priority=1)


def test_an_engine_folder_is_opened_once(judged_pipeline):
    other = again(judged_pipeline.engine)
    other.check_unchanged()
    assert (other.hash, other.manifest) == (judged_pipeline.engine.hash, judged_pipeline.manifest)


def test_a_served_image_and_its_statistics(judged_pipeline):
    with BatchEngine(judged_pipeline, max_batch=2) as engine:
        image = engine.submit(1, 5).result()
        assert (again(image).pixels == image.pixels).all()
        assert again(image).condition == {"label": 1}
        assert again(engine.stats()) == engine.stats()


def test_what_is_loaded_says_what_to_do(judged_engine):
    told = "^tiny: a loaded engine does not travel to another process; load it there$"
    with adagen_rt.load(judged_engine, threads=1) as pipeline:
        with pytest.raises(pickle.PicklingError, match=told):
            pickle.dumps(pipeline)
        with BatchEngine(pipeline) as engine, pytest.raises(pickle.PicklingError, match=told):
            pickle.dumps(engine)
