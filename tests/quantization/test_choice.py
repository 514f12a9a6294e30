import math

import pytest

pytest.importorskip("onnx_ir", reason="needs the extra int8")

from adagen_rt.quantization.choice import DEAR, WORTH, Kind, apply_rule


def kept(*kinds, limit=math.inf):
    return [kind.name for kind in apply_rule(kinds, limit) if not kind.integer]


def test_a_small_kind_with_much_of_the_error_stays_float():
    kinds = (Kind("fc", 0.6, 0.01), Kind("qkv", 0.39, 0.01), Kind("head", 0.01, 0.01))
    assert kept(*kinds) == ["head"]


def test_a_small_kind_with_little_of_the_error_does_not():
    kinds = (Kind("fc", 0.99, 0.01), Kind("head", 0.01, 0.0001))
    assert kept(*kinds) == []


def test_the_border_is_where_the_rule_says():
    # Shares of the squared error: 0.2 and 0.8.
    for share, names in ((0.2 / DEAR + 1e-6, []), (0.2 / DEAR - 1e-6, ["head"])):
        assert kept(Kind("fc", 1 - share, 0.02), Kind("head", share, 0.01)) == names


def test_a_limit_is_kept_at_the_least_cost():
    kinds = (Kind("fc", 0.5, 0.03), Kind("qkv", 0.3, 0.02), Kind("ada", 0.2, 0.01))
    assert kept(*kinds) == []
    assert kept(*kinds, limit=0.037) == ["fc"]  # sqrt(9 + 4 + 1) = 3.74
    assert kept(*kinds, limit=0.038) == []
    assert kept(*kinds, limit=0.02) == ["fc", "qkv"]
    assert kept(*kinds, limit=0.001) == ["fc", "qkv", "ada"]


def test_without_any_error_all_become_integers():
    assert kept(Kind("fc", 0.5, 0.0), Kind("head", 0.5, 0.0)) == []


def test_a_kind_that_integers_make_no_faster_stays_float():
    kinds = (Kind("fc", 0.6, 0.01, speed=1.2), Kind("qkv", 0.4, 0.01, speed=0.98))
    assert kept(*kinds) == ["qkv"]
    least = 1 + 0.4 * WORTH
    for speed, names in ((least + 1e-6, []), (least - 1e-6, ["qkv"])):
        assert kept(kinds[0], Kind("qkv", 0.4, 0.01, speed=speed)) == names
