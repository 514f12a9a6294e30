"""The engines that come with the package."""

import numpy as np
import pytest

import adagen_rt
from adagen_rt.engine.folder import shipped_engines

NAMES = ("fashion-dit", "fashion-maskgit", "fashion-sit", "fashion-var")
#: All four together: they travel with every install.
MAX_BYTES = 45_000_000


@pytest.fixture(scope="module", params=NAMES)
def name(request):
    return request.param


def test_engines_and_their_size():
    engines = shipped_engines()
    assert set(NAMES) <= engines.keys()
    files = [path for name in NAMES for path in engines[name].iterdir()]
    assert sum(path.stat().st_size for path in files) <= MAX_BYTES


def test_schedule_is_chosen_per_sample(name):
    pipeline = adagen_rt.load(name, threads=2)
    result = pipeline.generate(range(10), range(10))
    adapted = [values for values in result.schedule.values() if np.nanstd(values, axis=1).max() > 0]
    assert adapted
    static = pipeline.generate(range(10), range(10), schedule="static")
    tuned = pipeline.generate(range(10), range(10), schedule="tuned")
    assert (static.images != result.images).any()
    assert (static.images != tuned.images).any()


def test_images_are_recognised(name):
    pytest.importorskip("torch")
    from adagen_rt.evaluation.judge import to_unit
    from adagen_rt.models.classifier import judge, load_classifier

    labels = np.arange(60) % 10
    images = adagen_rt.load(name, threads=2).generate(labels.tolist(), range(60)).images
    predicted, _ = judge(load_classifier(), to_unit(images))
    assert (predicted.numpy() == labels).mean() >= 0.85
