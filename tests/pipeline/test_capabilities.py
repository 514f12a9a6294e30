"""What an implementation lacks is refused in one place, by the option and the backend."""

import pytest
import running_tensorrt
from tiny_engine import Options, build_tiny_engine

import adagen_rt
from adagen_rt.backends.tensorrt.build import build_plans
from adagen_rt.engine.folder import open_engine
from adagen_rt.errors import InputError
from adagen_rt.pipeline.capabilities import Capabilities
from adagen_rt.sampling.params import SamplingParams

NOTHING = Capabilities(streams=False, refines=False, reuses=False, batches=(1, 2), sizes=False)
PLAIN, REFINED = SamplingParams(), SamplingParams(refine=4)


@pytest.fixture
def captured_pipeline(monkeypatch, tmp_path):
    driver = running_tensorrt.install(monkeypatch)
    folder = build_tiny_engine(tmp_path / "engine", Options(judges=True))
    build_plans(open_engine(folder), "tensorrt", batches=(1, 2))
    pipeline = adagen_rt.load(folder, backend="tensorrt")
    driver.calls.clear()
    yield pipeline
    assert driver.calls == []  # whatever was refused was refused before anything was done


def test_what_is_there_is_not_refused():
    Capabilities().check("onnxruntime", REFINED, streams="stream")
    NOTHING.check("torch", PLAIN)


def test_refinement_that_is_not_there_names_the_option_and_the_backend():
    expected = "^refine: got 4, expected 1 with the backend torch; onnxruntime and openvino have it"
    with pytest.raises(InputError, match=expected) as caught:
        NOTHING.check("torch", REFINED)
    assert caught.value.field == "refine"


@pytest.mark.parametrize("option", ["preview", "per_step", "stream"])
def test_steps_that_are_not_seen_name_the_option_and_the_backend(option):
    expected = f"^{option}: got 'torch', expected the backend onnxruntime or openvino"
    with pytest.raises(InputError, match=expected) as caught:
        NOTHING.check("torch", PLAIN, streams=option)
    assert caught.value.field == option


def test_a_step_by_step_pipeline_lacks_nothing(judged_pipeline):
    assert judged_pipeline.capabilities == Capabilities()
    assert judged_pipeline.backend == "onnxruntime"
    assert judged_pipeline.facts() == {"backend": "onnxruntime", "threads": 1}


def test_a_captured_pipeline_says_what_it_lacks(captured_pipeline):
    assert captured_pipeline.capabilities == NOTHING
    assert captured_pipeline.facts() == {"backend": "tensorrt", "plans": "1 2"}


def test_a_captured_pipeline_does_not_refine(captured_pipeline):
    with pytest.raises(InputError, match=r"^refine: got 4, expected 1 with the backend tensorrt"):
        captured_pipeline.generate([0], [1], refine=4)


@pytest.mark.parametrize(
    "go_step_by_step",
    [lambda pipeline: pipeline.stream([0], [1]), lambda pipeline: pipeline.sampler],
    ids=["stream", "sampler"],
)
def test_a_captured_pipeline_shows_no_steps(captured_pipeline, go_step_by_step):
    with pytest.raises(InputError, match="got 'tensorrt', expected the backend onnxruntime or o"):
        go_step_by_step(captured_pipeline)


def test_best_of_is_not_streamed(judged_pipeline):
    with pytest.raises(InputError, match=r"^best_of: got 2, expected 1 in a stream"):
        judged_pipeline.stream([0], [1], best_of=2)
