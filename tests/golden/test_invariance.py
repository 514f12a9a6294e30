"""A sample depends on its seed and label, not on its neighbours: every family."""

import pytest

pytest.importorskip("torch")

import numpy as np

from adagen_rt.pipeline.stepwise import StepwisePipeline
from golden.engines import decoded, final_states

RECIPES = ["maskgit-l", "dit-xl-2", "sit-xl-2", "var-d16"]
SEEDS = [11, 12, 13, 14, 15, 16, 17, 2**62 + 5]
CLASSES = [0, 999, 5, 5, 333, 1, 2, 3]
ORDER = [5, 2, 7, 0, 4, 1, 6, 3]


@pytest.mark.parametrize("recipe", RECIPES)
def test_alone_in_a_batch_and_reordered(golden_engine, recipe):
    generator = StepwisePipeline(golden_engine(recipe), threads=2)
    batch = final_states(generator, CLASSES, SEEDS)
    shuffled = final_states(generator, [CLASSES[i] for i in ORDER], [SEEDS[i] for i in ORDER]).take(
        np.argsort(ORDER)
    )
    picked = 2
    alone = final_states(generator, [CLASSES[picked]], [SEEDS[picked]])
    for other, rows in ((shuffled, slice(None)), (alone, slice(picked, picked + 1))):
        if hasattr(batch, "tokens"):
            np.testing.assert_array_equal(other.tokens, batch.tokens[rows])
        want = decoded(generator, batch)[rows]
        assert np.abs(decoded(generator, other) - want).max() < 1e-5 * max(1, np.abs(want).max())


@pytest.mark.parametrize("recipe", RECIPES)
def test_seeds_differ(golden_engine, recipe):
    generator = StepwisePipeline(golden_engine(recipe), threads=2)
    images = generator.generate([7, 7], [1, 2]).images
    assert (images[0] != images[1]).mean() > 0.5
