"""The engines that come with the package."""

import numpy as np
import pytest

import adagen_rt
from adagen_rt.engine.folder import shipped_engines

NAMES = ("fashion-dit", "fashion-maskgit", "fashion-sit", "fashion-var")
PROMPTS = ("emoji-sit",)
#: What all classes' and all prompts' may have together: they travel with every install.
MAX_BYTES, MAX_PROMPT_BYTES = 45_000_000, 30_000_000


@pytest.fixture(scope="module", params=NAMES)
def name(request):
    return request.param


def test_engines_and_their_size():
    engines = shipped_engines()
    assert set(NAMES) <= engines.keys()
    files = [path for name in NAMES for path in engines[name].iterdir()]
    assert sum(path.stat().st_size for path in files) <= MAX_BYTES
    files = [path for name in PROMPTS for path in engines[name].iterdir()]
    assert 0 < sum(path.stat().st_size for path in files) <= MAX_PROMPT_BYTES


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


def test_prompts_say_what_is_seen():
    """Hearts and apples are red in the middle, sad and happy faces are yellow."""
    pytest.importorskip("tokenizers")
    pipeline = adagen_rt.load("emoji-sit", threads=2)
    red = ["noto style: red apple", "twemoji style: red heart"]
    yellow = ["noto style: slightly smiling face", "twemoji style: frowning face"]
    result = pipeline.generate(prompts=red + yellow, seeds=range(4))
    assert result.images.shape == (4, 64, 64, 3)
    middle = result.images[:, 24:40, 24:40].astype(float).mean(axis=(1, 2))
    green = middle[:, 1] / middle[:, 0]
    assert (middle[:, 0] > 2 * middle[:, 2]).all()
    assert (green[:2] < 0.5).all()
    assert (green[2:] > 0.55).all()
    corners = result.images[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert (corners > 230).all()  # the artwork stands on white
