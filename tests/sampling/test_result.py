import numpy as np
import pytest

from adagen_rt.engine.folder import open_engine
from adagen_rt.ops.reference import to_pixels
from adagen_rt.sampling.loop import Decision
from adagen_rt.sampling.request import make_request
from adagen_rt.sampling.result import Snapshot, Trace


@pytest.mark.parametrize("pixel_range", [(0.0, 1.0), (-1.0, 1.0)])
def test_pixels_cover_the_range_and_are_clamped(pixel_range):
    low, high = pixel_range
    middle = (low + high) / 2
    image = np.array([low - 1, low, middle, high, high + 1], np.float32).reshape(1, 1, 1, 5)
    np.testing.assert_array_equal(to_pixels(image, low, high).ravel(), [0, 0, 128, 255, 255])


def test_channels_come_last():
    image = np.zeros((2, 3, 4, 4), np.float32)
    image[:, 1] = 1
    pixels = to_pixels(image, 0, 1)
    assert pixels.shape == (2, 4, 4, 3)
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels[0, 0, 0], [0, 255, 0])


def test_non_finite_pixels_are_black_or_white():
    image = np.array([np.nan, np.inf, -np.inf], np.float32).reshape(1, 1, 1, 3)
    pixels = to_pixels(image, 0, 1)
    np.testing.assert_array_equal(pixels.ravel(), [0, 255, 0])


def test_a_trace_has_nan_where_nothing_was_chosen(tiny_engine):
    request = make_request(open_engine(tiny_engine).manifest, [0, 1, 2])
    trace = Trace(request, ("a",), 2)
    values = np.array([0.5, 0.25], np.float32)
    trace.record(Decision(np.array([2, 0]), np.array([0, 1]), {"a": values}))
    nan = np.nan
    np.testing.assert_array_equal(trace.schedule["a"], [[nan, nan, 0.5], [0.25, nan, nan]])


def test_snapshots_join_and_tell_failures():
    none = np.array([False])
    one = Snapshot(np.array([2]), np.array([4]), none, {"x": np.ones((1, 2))}, np.array([3]))
    failed, latents = np.array([False, True]), {"x": np.zeros((2, 2))}
    two = Snapshot(np.array([0, 1]), np.array([3, 1]), failed, latents, np.array([1, 0]))
    joined = Snapshot.join([one, two])
    np.testing.assert_array_equal(joined.index, [2, 0, 1])
    assert joined.latents["x"].shape == (3, 2)
    assert joined.failures() == {1: 1}
    assert joined.reused.tolist() == [3, 1, 0]
