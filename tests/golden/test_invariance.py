"""A sample depends on its seed and label, not on its neighbours: every family."""

import pytest

pytest.importorskip("torch")

import numpy as np

from adagen_rt.pipeline.stepwise import StepwisePipeline
from golden.engines import decoded, final_states

RECIPES = ["maskgit-l", "dit-xl-2", "sit-xl-2", "var-d16"]
SEEDS = [11, 13, 14, 2**62 + 5]
CLASSES = [0, 5, 5, 999]
ORDER = [3, 1, 0, 2]


@pytest.mark.parametrize("recipe", RECIPES)
def test_alone_in_a_batch_and_reordered(golden_engine, recipe):
    generator = StepwisePipeline(golden_engine(recipe), threads=2)
    batch = final_states(generator, CLASSES, SEEDS)
    images = decoded(generator, batch)
    shuffled = final_states(generator, [CLASSES[i] for i in ORDER], [SEEDS[i] for i in ORDER]).take(
        np.argsort(ORDER)
    )
    picked = 2
    alone = final_states(generator, [CLASSES[picked]], [SEEDS[picked]])
    for other, rows in ((shuffled, slice(None)), (alone, slice(picked, picked + 1))):
        if hasattr(batch, "tokens"):
            np.testing.assert_array_equal(other.tokens, batch.tokens[rows])
        want = images[rows]
        assert np.abs(decoded(generator, other) - want).max() < 1e-5 * max(1, np.abs(want).max())
    # Two seeds of a class are two images.
    low, high = generator.manifest.image.pixel_range
    assert (np.abs(images[1] - images[2]) > (high - low) / 255).mean() > 0.5
