"""From a decoder's output to bytes: the specification on both namespaces, and the kernel."""

import numpy as np
import pytest

from adagen_rt import _kernels
from adagen_rt.ops import structs
from adagen_rt.ops.reference import to_pixels

RANGES = pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-1.0, 1.0), (-0.3, 2.7)])


def image(low, high):
    """Return numbers in and around a range, halves between two bytes and infinities among them."""
    rng = np.random.default_rng(0)
    values = rng.uniform(2 * low - high, 2 * high - low, (2, 3, 16, 20))
    halves = low + (np.arange(255) + 0.5) * (high - low) / 255
    values.reshape(-1)[:255] = halves
    values.reshape(-1)[255:260] = [np.nan, np.inf, -np.inf, 3e38, -3e38]
    return values.astype(np.float32)


def kernel(given, low, high):
    """Return what the kernel writes."""
    batch, channels, height, width = given.shape
    factor, failed = np.float32(255 / (high - low)), np.zeros(batch, np.int64)
    written = np.empty((batch, height, width, channels), np.uint8)
    sizes = (batch, channels, height * width)
    places = (failed.ctypes.data, written.ctypes.data)
    op = structs.Pixels(given.ctypes.data, structs.DTYPES["float32"], low, factor, *sizes, *places)
    _kernels.launch("pixels", bytes(op), 1)
    return written


@RANGES
def test_the_kernel_writes_the_same_bytes(low, high):
    given = image(low, high)
    np.testing.assert_array_equal(kernel(given, low, high), to_pixels(given, low, high))


@RANGES
def test_torch_gives_the_same_bytes(low, high):
    torch = pytest.importorskip("torch")
    given = image(low, high)
    pixels = to_pixels(torch.from_numpy(given), low, high)
    assert pixels.dtype == torch.uint8
    np.testing.assert_array_equal(pixels.numpy(), to_pixels(given, low, high))


@RANGES
def test_bytes_are_those_that_numpy_rounds_to(low, high):
    given = image(low, high)
    with np.errstate(over="ignore"):
        scaled = (np.moveaxis(given, 1, -1) - low) * np.float32(255 / (high - low))
    expected = np.rint(np.clip(np.nan_to_num(scaled), 0, 255)).astype(np.uint8)
    pixels = to_pixels(given, low, high)
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, expected)


def test_halves_go_to_the_even_byte():
    given = np.asarray([0.5, 1.5, 2.5, 253.5, 254.5], np.float32).reshape(1, 1, 1, 5)
    assert to_pixels(given, 0.0, 255.0).ravel().tolist() == [0, 2, 2, 254, 254]


def test_what_is_no_number_is_black_and_what_is_outside_is_clipped():
    given = np.asarray([np.nan, np.inf, -np.inf, 2, -2], np.float32).reshape(1, 1, 1, 5)
    assert to_pixels(given, 0.0, 1.0).ravel().tolist() == [0, 255, 0, 255, 0]
