"""Every kernel against the specification."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from adagen_rt.errors import InputError
from adagen_rt.ops import Injected
from adagen_rt.ops.cpu import CpuOps
from adagen_rt.ops.reference import ReferenceOps
from ops.cases import (
    SHAPES,
    TOLERANCE,
    assert_drawn_alike,
    floats,
    guided_case,
    injected,
    philox,
    row_of,
    solver_case,
    truncated_case,
)

CPU, REFERENCE = CpuOps(threads=2), ReferenceOps()
NOISES = pytest.mark.parametrize("noise", [philox, injected])
EXTREMES = {
    "guidance": [0, 1e-30, -2, 100],
    "temperature": [0, 1e-30, 1, 1e30],
    "confidence_temperature": [0, 1e4],
    "top_k": [-1e30, 0, 1, 1e30],
    "top_p": [-1, 0, 0.999999, 1],
}


@NOISES
@pytest.mark.parametrize("shape", SHAPES)
def test_guided_sample(shape, noise):
    case = guided_case(shape, noise=noise)
    sampled, confidence = CPU.guided_sample(**case)
    expected, doubt = REFERENCE.guided_sample(**case)
    assert_drawn_alike(sampled, expected, case)
    same = sampled == expected
    np.testing.assert_allclose(confidence[same], doubt[same], atol=TOLERANCE["float32"])


@NOISES
@pytest.mark.parametrize("shape", SHAPES)
def test_sample_top_k_top_p(shape, noise):
    case = truncated_case(shape, noise=noise)
    tokens = CPU.sample_top_k_top_p(**case)
    assert_drawn_alike(tokens, REFERENCE.sample_top_k_top_p(**case), case)


@NOISES
@pytest.mark.parametrize(("name", "value"), [(n, v) for n, vs in EXTREMES.items() for v in vs])
def test_extreme_parameters(name, value, noise):
    for make, op in ((guided_case, "guided_sample"), (truncated_case, "sample_top_k_top_p")):
        case = make((2, 8, 100), noise=noise)
        if name not in case:
            continue
        case[name] = floats(value, value)
        drawn, expected = (getattr(ops, op)(**case) for ops in (CPU, REFERENCE))
        if op == "guided_sample":
            assert np.isfinite(drawn[1][case["tokens"] == 100]).all()
            drawn, expected = drawn[0], expected[0]
        assert_drawn_alike(drawn, expected, case)


@pytest.mark.parametrize("spread", [0.0, 1e-6, 100.0, 1e6])
def test_extreme_logits(spread):
    for make, op in ((guided_case, "guided_sample"), (truncated_case, "sample_top_k_top_p")):
        case = make((2, 8, 100))
        case |= {name: case[name] * np.float32(spread) for name in ("cond", "null")}
        drawn, expected = (getattr(ops, op)(**case) for ops in (CPU, REFERENCE))
        if op == "guided_sample":
            drawn, expected = drawn[0], expected[0]
        assert_drawn_alike(drawn, expected, case)


# A few values only, so that ties are common.
rows = arrays(np.float32, st.integers(1, 40), elements=st.sampled_from([-2.0, -0.0, 0.0, 1.0, 1.5]))


@settings(deadline=None, max_examples=200)
@given(row=rows, ratio=st.floats(-0.5, 1.5, width=32))
def test_remask_with_ties(row, ratio):
    arguments = (np.zeros((1, len(row)), np.int64), row[None], floats(ratio), -1)
    assert np.array_equal(CPU.remask(*arguments), REFERENCE.remask(*arguments))


@settings(deadline=None, max_examples=100)
@given(
    row=arrays(np.float32, st.integers(1, 300), elements=st.floats(width=32)),
    ratio=st.floats(0, 1, width=32),
)
def test_remask_of_any_floats(row, ratio):
    arguments = (np.zeros((1, len(row)), np.int64), row[None], floats(ratio), -1)
    assert np.array_equal(CPU.remask(*arguments), REFERENCE.remask(*arguments))


@settings(deadline=None, max_examples=200)
@given(row=rows, top_k=st.integers(-1, 45), top_p=st.sampled_from([0, 0.25, 0.5, 0.75, 1]))
def test_truncation_with_ties(row, top_k, top_p):
    """Weights of 0 and 1 only, so that every sum is exact in any order."""
    size = len(row)
    logits = np.where(row > 0, 0, -200).astype(np.float32)
    cond = np.broadcast_to(logits, (1, size, size)).copy()
    noise = Injected(np.float32(1e6) * np.eye(size, dtype=np.float32)[None])
    arguments = (cond, cond, *map(floats, (0, top_k, top_p, 1)), noise)
    drawn, expected = (ops.sample_top_k_top_p(*arguments) for ops in (CPU, REFERENCE))
    assert np.array_equal(drawn, expected)


@pytest.mark.parametrize("shape", [(1,), (3,), (4, 32, 32), (5, 7)])
def test_normal(shape):
    seeds = np.asarray([0, 1, 2**63 - 1])
    ours, expected = CPU.normal(seeds, shape), REFERENCE.normal(seeds, shape)
    np.testing.assert_allclose(ours, expected, atol=TOLERANCE["float32"])


def test_threads_do_not_change_results():
    guided, truncated = guided_case((8, 64, 600)), truncated_case((8, 64, 600))
    solver = solver_case("vp", batch=8, shape=(4, 128, 128))
    results = []
    for threads in (1, 2, 5):
        ops = CpuOps(threads)
        results.append(
            [
                *ops.guided_sample(**guided),
                ops.sample_top_k_top_p(**truncated),
                *ops.solver_update(**solver),
                ops.normal(np.arange(8), (4, 64, 64)),
            ]
        )
    for other in results[1:]:
        assert all(map(np.array_equal, results[0], other))


def test_a_sample_alone_equals_itself_in_a_batch():
    guided, truncated = guided_case((3, 7, 333)), truncated_case((3, 7, 333))
    sampled, confidence = CPU.guided_sample(**guided)
    tokens = CPU.sample_top_k_top_p(**truncated)
    for index in range(3):
        alone, doubt = CPU.guided_sample(**row_of(guided, index))
        assert np.array_equal(alone[0], sampled[index])
        assert np.array_equal(doubt[0], confidence[index])
        assert np.array_equal(CPU.sample_top_k_top_p(**row_of(truncated, index))[0], tokens[index])


def test_an_empty_batch_is_an_empty_result():
    case, truncated = (row_of(make((1, 4, 8)), 5) for make in (guided_case, truncated_case))
    sampled, confidence = CPU.guided_sample(**case)
    assert sampled.shape == (0, 4)
    assert CPU.remask(sampled, confidence, floats(), 8).shape == (0, 4)
    assert CPU.sample_top_k_top_p(**truncated).shape == (0, 4)
    assert CPU.solver_update(**solver_case("vp", batch=0))[0].shape == (0, 4, 5, 7)
    assert CPU.normal(np.zeros(0, np.int64), (2, 2)).shape == (0, 2, 2)
    assert CPU.normal(np.zeros(3, np.int64), (2, 0)).shape == (3, 2, 0)


def strided(array):
    """Return the same numbers with a gap after each, which may not be written."""
    spread = np.repeat(array, 2, axis=-1)[..., ::2]
    spread.flags.writeable = False
    return spread


def other_layout(case):
    """Return a case with a gap after every number of every array, those of the noise too."""
    spread = {k: strided(v) if isinstance(v, np.ndarray) else v for k, v in case.items()}
    if "noise" in case:
        spread["noise"] = type(case["noise"])(*map(strided, vars(case["noise"]).values()))
    return spread


@pytest.mark.parametrize(
    ("op", "case"),
    [
        ("guided_sample", guided_case((3, 5, 64))),
        ("guided_sample", guided_case((3, 5, 64), noise=injected)),
        ("sample_top_k_top_p", truncated_case((3, 5, 64))),
        ("solver_update", solver_case("vp", shape=(4, 32, 32))),
        ("normal", {"seeds": np.arange(1000), "shape": (3,)}),
    ],
)
def test_inputs_of_another_layout_are_copied(op, case):
    ours, expected = (getattr(CPU, op)(**arguments) for arguments in (other_layout(case), case))
    assert np.array_equal(ours, expected)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("cond", np.zeros((2, 5), np.float32), "cond: got .*3 axes"),
        ("cond", np.zeros((2, 5, 0), np.float32), "cond: got .*no empty axis"),
        ("cond", np.zeros((2, 5, 16)), "cond: got 'float64 of shape .*float32 of shape"),
        ("null", np.zeros((2, 5, 15), np.float32), r"null: got .*\(2, 5, 16\)"),
        ("guidance", 1.5, "guidance: got 'float'"),
        ("temperature", np.ones(3, np.float32), r"temperature: got .*of shape \(2,\)"),
        ("tokens", np.zeros((2, 5), np.int32), "tokens: got 'int32"),
        ("noise", None, "noise: got 'NoneType'"),
        ("noise", Injected(np.zeros((2, 5, 16), np.float32)), "noise.confidence: got 'NoneType'"),
    ],
)
def test_bad_input_is_named(name, value, message):
    case = guided_case((2, 5, 16)) | {name: value}
    with pytest.raises(InputError, match=message):
        CPU.guided_sample(**case)


@pytest.mark.parametrize("threads", [0, -1, 257, 1.5, None])
def test_bad_thread_counts_are_refused(threads):
    with pytest.raises(InputError, match="threads"):
        CpuOps(threads)
