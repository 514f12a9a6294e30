"""Words under images."""

import numpy as np
import pytest

from adagen_rt.sampling.captions import LINE, with_captions

SIDE = 64
LARGE = 2 * SIDE


def under(*captions):
    """The strips (N, lines, LINE, width) that are written under images of `captions`."""
    images = np.full((len(captions), SIDE, SIDE, 3), 200, np.uint8)
    made = with_captions(images, captions)
    assert (made[:, :LARGE] == 200).all()
    strips = made[:, LARGE:, :, 0]
    return strips.reshape(len(captions), -1, LINE, LARGE)


@pytest.mark.parametrize(
    ("first", "lines"),
    [("boot", 1), ("twemoji style: red heart", 2), ("x" * 100, 1), ("a word " * 10_000, 2)],
)
def test_a_long_first_line_takes_two(first, lines):
    strips = under((first, "seed 3"))
    assert strips.shape[1] == lines + 1
    assert (strips.min(axis=(2, 3)) < 128).all()


def test_all_have_as_many_lines_and_the_second_follows_the_first():
    strips = under(("boot", "seed 3"), ("twemoji style: red heart", "seed 3"))
    np.testing.assert_array_equal(strips[0, 1], strips[1, 2])
    assert (strips[0, 2] == 255).all()
    (alone,) = under(("boot", "seed 3"))
    np.testing.assert_array_equal(strips[0, :2], alone)


def test_words_are_not_cut_where_two_lines_hold_them():
    whole, cut = under(
        ("twemoji style: red heart", ""), ("twemoji style: red heart attack now", "")
    )
    np.testing.assert_array_equal(whole[0], cut[0])
    assert (whole[1] != cut[1]).any()
