"""What the package calls its parts, and what it called them before."""

import pytest

import adagen_rt
from adagen_rt import serving
from adagen_rt.pipeline.base import Pipeline
from adagen_rt.pipeline.captured import CapturedPipeline
from adagen_rt.pipeline.stepwise import StepwisePipeline
from adagen_rt.sampling.params import SamplingParams

RENAMED = [
    (adagen_rt, "Generator", StepwisePipeline),
    (adagen_rt, "DeviceGenerator", CapturedPipeline),
    (serving, "Engine", serving.BatchEngine),
]


@pytest.mark.parametrize(("module", "name", "new"), RENAMED)
def test_an_old_name_gives_the_new_class_and_says_so(module, name, new):
    with pytest.warns(DeprecationWarning, match=rf"{name} is deprecated.*{new.__name__}") as told:
        assert getattr(module, name) is new
    assert told[0].filename == __file__


@pytest.mark.parametrize(("module", "name", "_"), RENAMED)
def test_an_old_name_is_not_offered(module, name, _):
    assert name not in dir(module)


def test_every_name_that_is_offered_is_there():
    for name in adagen_rt.__all__:
        assert getattr(adagen_rt, name).__name__ == name
    assert set(dir(adagen_rt)) == {*adagen_rt.__all__, "__version__"}
    assert adagen_rt.__version__


def test_names_lead_to_their_modules():
    assert adagen_rt.Pipeline is Pipeline
    assert adagen_rt.SamplingParams is SamplingParams
    assert issubclass(StepwisePipeline, Pipeline)
    assert issubclass(CapturedPipeline, Pipeline)


@pytest.mark.parametrize("module", [adagen_rt, serving])
def test_an_unknown_name_is_an_attribute_error(module):
    with pytest.raises(AttributeError, match="has no attribute 'Sampler'"):
        _ = module.Sampler
