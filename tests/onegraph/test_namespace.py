"""Every function of the namespace gives what NumPy gives, known or not."""

import numpy as np
import onnx_ir as ir
import pytest
from array_api_compat import array_namespace
from array_api_compat import numpy as xnp
from hypothesis import given, settings
from hypothesis import strategies as st
from traced_model import traced

from adagen_rt.onegraph.namespace import Namespace
from adagen_rt.onegraph.size import Size
from adagen_rt.onegraph.traced import Traced
from adagen_rt.onegraph.writer import Writer, symbolic

ROWS = 3
RNG = np.random.default_rng(0)


def known(function, *arrays):
    """Give the same where the arrays are known, without a model."""
    xp = Namespace(Writer())
    result = function(*(xp.constant(array) for array in arrays))
    assert not xp.writer.nodes
    return np.broadcast_to(result.known, result.shape)


FLOATS = RNG.normal(size=(ROWS, 4, 5)).astype(np.float32)
OTHERS = RNG.normal(size=(ROWS, 4, 5)).astype(np.float32)
POSITIVE = np.abs(FLOATS) + np.float32(0.1)
INTEGERS = RNG.integers(0, 1 << 40, (ROWS, 6))
SMALL = RNG.integers(-5, 6, (ROWS, 6))
FLAGS = RNG.random((ROWS, 4)) < 0.5
ODD = np.array([[1.0, np.nan, np.inf, -np.inf, 0.0]] * ROWS, np.float32)


def xp_of(x):
    return array_namespace(x)


CASES = {
    "add": (lambda a, b: a + b * 2.0 - 1.5, FLOATS, OTHERS),
    "divide": (lambda a, b: 1.0 / a / b, POSITIVE, POSITIVE),
    "negative": (lambda a: -a, FLOATS),
    "abs": (lambda a: xp_of(a).abs(a), FLOATS),
    "floor": (lambda a: xp_of(a).floor(a * 7), FLOATS),
    "round": (lambda a: xp_of(a).round(a * 2) + xp_of(a).round(a), FLOATS),
    "sqrt": (lambda a: xp_of(a).sqrt(a), POSITIVE),
    "exp": (lambda a: xp_of(a).exp(a), FLOATS),
    "log": (lambda a: xp_of(a).log(a), POSITIVE),
    "cos": (lambda a: xp_of(a).cos(a), FLOATS),
    "sin": (lambda a: xp_of(a).sin(a), FLOATS),
    "power": (lambda a: a**2, FLOATS),
    "minimum": (lambda a, b: xp_of(a).minimum(a, b), FLOATS, OTHERS),
    "maximum": (lambda a, b: xp_of(a).maximum(a, b), FLOATS, OTHERS),
    "clip": (lambda a: xp_of(a).clip(xp_of(a).clip(a, -0.5, None), None, 0.5), FLOATS),
    "clip keeps NaN": (lambda a: xp_of(a).clip(a, -1.0, 1.0), ODD),
    "compare": (lambda a, b: (a < b) | (a >= b) & (a > 0.5) | (a <= -1.0), FLOATS, OTHERS),
    "equal": (lambda a: (a == 2) | ~(a != 3), SMALL),
    "xor": (lambda a: ((a ^ 12345) & 0xFFFFFFFF) | 1, INTEGERS),
    "shifts": (lambda a: (a << 9) ^ (a >> 16), INTEGERS),
    "floor division": (lambda a: a // 3 + a % 4, SMALL),
    "isnan": (lambda a: xp_of(a).isnan(a), ODD),
    "isfinite": (lambda a: xp_of(a).isfinite(a), ODD),
    "where": (lambda a, b: xp_of(a).where(a > 0, a, b), FLOATS, OTHERS),
    "where of numbers": (lambda a: xp_of(a).where(a > 0, 1.0, a), FLOATS),
    "where of flags": (lambda a, b: xp_of(a).where(a, ~b, b), FLAGS, FLAGS[:, ::-1].copy()),
    "astype": (lambda a: xp_of(a).astype(a * 10, xp_of(a).int64), FLOATS),
    "reshape": (lambda a: xp_of(a).reshape(a, (-1, 10, 2)), FLOATS),
    "reshape to the batch": (lambda a: xp_of(a).reshape(a, (a.shape[0], -1)), FLOATS),
    "new axes": (lambda a: a[:, None, :, None] + a[:, :, None, None], FLAGS.astype(np.int64)),
    "slices": (lambda a: a[:, 1:3, ::2], FLOATS),
    "ellipsis": (lambda a: a[..., -1:] + a[..., 0:1], FLOATS),
    "place": (lambda a: a[:, 2] - a[:, 0], FLOATS),
    "permute": (lambda a: xp_of(a).permute_dims(a, (0, 2, 1)), FLOATS),
    "concat": (lambda a, b: xp_of(a).concat([a, b], axis=1), FLOATS, OTHERS),
    "concat of rows": (lambda a, b: xp_of(a).concat([a, b]), FLOATS, OTHERS),
    "stack": (lambda a, b: xp_of(a).stack([a, b], axis=-1), FLOATS, OTHERS),
    "argmax": (lambda a: xp_of(a).argmax(a, axis=-1), np.round(FLOATS)),
    "sort": (lambda a: xp_of(a).sort(a, axis=-1), FLOATS),
    "argsort": (lambda a: xp_of(a).argsort(a, axis=-1, stable=True), np.round(FLOATS)),
    "ranks": (lambda a: xp_of(a).argsort(xp_of(a).argsort(a, axis=1), axis=1), np.round(FLOATS)),
    "in order": (
        lambda a: xp_of(a).take_along_axis(a, xp_of(a).argsort(a, axis=-1), axis=-1),
        np.round(FLOATS),
    ),
    "take along": (
        lambda a, b: xp_of(a).take_along_axis(a, b % 4, axis=1),
        SMALL[:, :4],
        np.abs(SMALL),
    ),
    "ones": (lambda a: xp_of(a).ones_like(a) + a, SMALL),
    "take": (lambda a: xp_of(a).take(a, xp_of(a).asarray(np.array([2, 0, 2])), axis=1), FLOATS),
    "sum": (lambda a: xp_of(a).sum(a, axis=-1, keepdims=True), FLOATS),
    "max": (lambda a: xp_of(a).max(a, axis=(1, 2)), FLOATS),
    "all and any": (lambda a: xp_of(a).all(a, axis=1) | ~xp_of(a).any(a, axis=1), FLAGS),
    "cumulative sum": (lambda a: xp_of(a).cumulative_sum(a, axis=-1), FLOATS),
    "full": (lambda a: xp_of(a).full((a.shape[0], 2), 7, dtype=xp_of(a).int64) + 0, SMALL),
    "arange": (lambda a: xp_of(a).arange(a.shape[0]), SMALL),
    "known beside unknown": (lambda a: a * 0 + xp_of(a).zeros_like(a)[:, :1] + 3, SMALL),
    "twice the rows": (lambda a: xp_of(a).concat([a, a])[a.shape[0] // 1 :, ...], SMALL),
}
#: What the rules ask only of arrays that are not known.
UNKNOWN_ONLY = {*("argmax", "sort", "argsort", "ranks", "in order", "take along", "cumulative sum")}


@pytest.mark.parametrize("name", CASES)
def test_a_function_of_values(name):
    function, *arrays = CASES[name]
    arrays = [np.ascontiguousarray(array) for array in arrays]
    expected = function(*(xnp.asarray(array) for array in arrays))
    np.testing.assert_allclose(traced(function, *arrays), expected, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("name", sorted(CASES.keys() - UNKNOWN_ONLY))
def test_a_function_of_known_arrays(name):
    function, *arrays = CASES[name]
    expected = function(*(xnp.asarray(array) for array in arrays))
    np.testing.assert_allclose(known(function, *arrays), expected, rtol=2e-6, atol=2e-6)


FLOAT = st.floats(-90, 90, width=32)
#: Below the smallest normal float32, few digits are left to keep.
TINY = 1e-37


@settings(deadline=None, max_examples=20)
@given(st.lists(FLOAT, min_size=1, max_size=50))
def test_small_results_keep_their_digits(values):
    x = np.array(values, np.float32)
    got = traced(lambda a: a.xp.expm1(a), x)
    with np.errstate(over="ignore"):
        np.testing.assert_allclose(got, np.expm1(x), rtol=3e-6, atol=TINY)
    small = np.exp(-np.abs(x))
    got = traced(lambda a: a.xp.log1p(a), small)
    np.testing.assert_allclose(got, np.log1p(small), rtol=3e-6, atol=TINY)


def test_what_is_known_decides_and_the_rest_does_not():
    xp = Namespace(Writer())
    seen = xp.zeros((Size(1), 4), dtype=np.int64)
    assert not bool(xp.any(seen != 0))
    assert int(seen[0, 0]) == 0
    value = ir.val("x", ir.DataType.INT64, symbolic((Size(1),)))
    hidden = Traced(xp, (Size(1),), np.int64, value=value)
    with pytest.raises(TypeError, match="decides nothing"):
        bool(hidden == 0)
    with pytest.raises(TypeError, match="when the model runs"):
        range(hidden.shape[0])


def test_a_size_that_no_batch_has_is_refused():
    with pytest.raises(TypeError, match="whole number"):
        Size(1) // 2
    assert Size(2) // 2 == Size(1)
    assert Size(2) - Size(2) == 0
    assert 1 + Size(1) - Size(1) == 1


def test_equal_nodes_and_constants_are_written_once():
    def function(a):
        return a.xp.exp(a * 2.0) + a.xp.exp(a * 2.0)

    writer = Writer()
    xp = Namespace(writer)
    value = ir.val("x", ir.DataType.FLOAT, symbolic((Size(1),)))
    function(Traced(xp, (Size(1),), np.float32, value=value))
    assert [node.op_type for node in writer.nodes] == ["Mul", "Exp", "Add"]
    assert len(writer.weights) == 1
