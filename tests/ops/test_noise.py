import numpy as np
import pytest

from adagen_rt.ops import Injected, Philox


def test_a_sample_draws_alone_what_it_draws_in_a_batch():
    seeds, steps = np.asarray([3, 4, 5]), np.asarray([0, 9, 2])
    together = Philox(seeds, steps).token_gumbel((3, 4, 33))
    alone = Philox(seeds[1:2], steps[1:2]).token_gumbel((1, 4, 33))
    assert np.array_equal(together[1], alone[0])


def test_gumbel_moments():
    drawn = Philox(np.asarray([1]), np.asarray([0])).token_gumbel((1, 100, 1000))
    assert drawn.mean() == pytest.approx(np.euler_gamma, abs=0.02)
    assert drawn.std() == pytest.approx(np.pi / np.sqrt(6), abs=0.02)


def test_purposes_do_not_share_numbers():
    noise = Philox(np.asarray([1]), np.asarray([0]))
    assert not np.array_equal(
        noise.token_gumbel((1, 8, 1))[..., 0], noise.confidence_gumbel((1, 8))
    )


def test_injected_noise_must_have_the_shape_asked_for():
    noise = Injected(np.zeros((1, 2, 3), np.float32))
    assert noise.token_gumbel((1, 2, 3)) is noise.token
    with pytest.raises(ValueError, match="token noise has shape"):
        noise.token_gumbel((1, 2, 4))
    with pytest.raises(ValueError, match="confidence noise has shape None"):
        noise.confidence_gumbel((1, 2))
