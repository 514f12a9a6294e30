"""The engines that come with the package."""

import numpy as np
import pytest

import adagen_rt
from adagen_rt.engine import shipped_engines

MAX_BYTES = {"fashion-maskgit": 8_000_000}


@pytest.fixture(scope="module", params=sorted(MAX_BYTES))
def name(request):
    return request.param


def test_size(name):
    files = shipped_engines()[name].iterdir()
    assert sum(path.stat().st_size for path in files) <= MAX_BYTES[name]


def test_schedule_is_chosen_per_sample(name):
    generator = adagen_rt.load(name, threads=2)
    result = generator.generate(range(10), range(10))
    adapted = [values for values in result.schedule.values() if np.nanstd(values, axis=1).max() > 0]
    assert adapted
    static = generator.generate(range(10), range(10), static=True)
    assert (static.images != result.images).any()


def test_images_are_recognised(name):
    pytest.importorskip("torch")
    from adagen_rt.training.classifier import judge, load_classifier
    from adagen_rt.training.evaluation import to_unit

    labels = np.arange(60) % 10
    images = adagen_rt.load(name, threads=2).generate(labels.tolist(), range(60)).images
    predicted, _ = judge(load_classifier(), to_unit(images))
    assert (predicted.numpy() == labels).mean() >= 0.85
