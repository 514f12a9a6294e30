import numpy as np
import pytest

from adagen_rt.ops.philox import Purpose, philox4x32, uniform, words

# The generator's published known-answer vectors: counter, key, output.
KNOWN_ANSWERS = [
    ("00000000 " * 4, "00000000 " * 2, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff " * 4, "ffffffff " * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    (
        "243f6a88 85a308d3 13198a2e 03707344",
        "a4093822 299f31d0",
        "d16cfe09 94fdcceb 5001e420 24126ea1",
    ),
]


def parse(text):
    return tuple(np.asarray([int(word, 16)]) for word in text.split())


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN_ANSWERS)
def test_known_answers(counter, key, expected):
    output = philox4x32(parse(counter), parse(key))
    assert output == parse(expected)


def test_torch_computes_the_same_words():
    torch = pytest.importorskip("torch")
    seeds, steps = np.asarray([0, 1, 2**63 - 1]), np.asarray([0, 7, 2**31])
    ours = words(seeds, steps, Purpose.TOKEN, 1001)
    theirs = words(torch.from_numpy(seeds), torch.from_numpy(steps), Purpose.TOKEN, 1001)
    assert np.array_equal(ours, theirs.numpy())


def test_position_is_block_and_lane():
    seed, step = np.asarray([12345 + (6 << 32)]), np.asarray([3])
    drawn = words(seed, step, Purpose.CONFIDENCE, 11)
    counter = tuple(np.asarray([word]) for word in (2, int(Purpose.CONFIDENCE), 3, 0))
    block = philox4x32(counter, (np.asarray([12345]), np.asarray([6])))
    assert drawn.shape == (1, 11)
    assert np.array_equal(drawn[0, 8:], np.concatenate(block)[:3])


def test_streams_differ_by_seed_step_and_purpose():
    seeds, steps = np.asarray([1, 2, 1 + 2**32, 1]), np.asarray([0, 0, 0, 1])
    streams = [row for purpose in Purpose for row in words(seeds, steps, purpose, 64)]
    assert len({tuple(stream) for stream in streams}) == len(streams)


def test_uniform_is_exact_and_inside_the_open_interval():
    ends = uniform(np.asarray([0, 2**32 - 1]))
    assert ends.dtype == np.float32
    assert ends.tolist() == [2.0**-24, 1 - 2.0**-24]


def test_uniform_is_uniform():
    drawn = uniform(words(np.asarray([5]), np.asarray([0]), Purpose.TOKEN, 100_000))
    counts, _ = np.histogram(drawn, bins=50, range=(0, 1))
    chi_square = np.sum((counts - 2000) ** 2 / 2000)
    assert chi_square < 49 + 4 * np.sqrt(2 * 49)
