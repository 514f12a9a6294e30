"""The rules themselves, on small arrays; both implementations must follow them."""

import numpy as np
import pytest

from adagen_rt.engine.schedule import ActionSpec, Schedule, ScheduleSpec
from adagen_rt.engine.static_schedules import Constant
from adagen_rt.ops import Injected
from adagen_rt.ops.cpu import CpuOps
from adagen_rt.ops.reference import ReferenceOps
from ops.cases import floats, guided_case, injected, truncated_case

MASK = 99


@pytest.fixture(params=[ReferenceOps(), CpuOps(threads=2)], ids=["reference", "cpu"])
def ops(request):
    return request.param


def truncate(ops, row, top_k=0.0, top_p=1.0, temperature=1.0):
    """Return which entries of one row of logits stay: noise can bring each of them forward."""
    row = np.asarray(row, np.float32)
    size = len(row)
    cond = np.broadcast_to(row, (1, size, size)).copy()
    noise = Injected(1e6 * np.eye(size, dtype=np.float32)[None])
    parameters = map(floats, (0.0, top_k, top_p, temperature))
    tokens = ops.sample_top_k_top_p(cond, cond, *parameters, noise)
    return [entry for entry in range(size) if tokens[0, entry] == entry]


def test_guided_sample_follows_the_rule(ops):
    case = guided_case((2, 6, 10), noise=injected)
    sampled, confidence = ops.guided_sample(**case)
    guided = case["cond"] + case["guidance"][:, None, None] * (case["cond"] - case["null"])
    scores = guided / case["temperature"][:, None, None] + case["noise"].token
    masked = case["tokens"] == case["mask_id"]
    assert np.array_equal(sampled, np.where(masked, scores.argmax(-1), case["tokens"]))
    log_softmax = guided - np.log(np.exp(guided).sum(-1, keepdims=True))
    chosen = np.take_along_axis(log_softmax, scores.argmax(-1)[..., None], axis=-1)[..., 0]
    disturbed = chosen + case["confidence_temperature"][:, None] * case["noise"].confidence
    np.testing.assert_allclose(confidence[masked], disturbed[masked], atol=1e-5)
    assert np.all(np.isposinf(confidence[~masked]))


def test_nothing_masked_changes_nothing(ops):
    case = guided_case((2, 6, 10))
    case["tokens"] = np.tile(np.arange(6), (2, 1))
    sampled, confidence = ops.guided_sample(**case)
    assert np.array_equal(sampled, case["tokens"])
    assert np.array_equal(ops.remask(sampled, confidence, floats(0.5, 1), MASK), case["tokens"])


@pytest.mark.parametrize(
    ("ratio", "count"),
    [(0, 0), (0.24, 0), (0.25, 1), (0.99, 3), (1, 3), (-1, 0), (7, 3), (np.nan, 0)],
)
def test_remask_counts_down_and_leaves_one(ops, ratio, count):
    sampled = np.arange(4)[None]
    masked = ops.remask(sampled, floats([0.3, -1, 2, 0.5]), floats(ratio), MASK)
    order = [1, 0, 3, 2]
    expected = [MASK if i in order[:count] else i for i in range(4)]
    assert masked.tolist() == [expected]


@pytest.mark.parametrize(("ratio", "count"), [(0.5 - 2**-24, 128), (0.5 - 2**-20, 127)])
def test_remask_counts_what_rounding_left_just_below_an_integer(ops, ratio, count):
    masked = ops.remask(np.zeros((1, 256), np.int64), floats(np.arange(256)), floats(ratio), MASK)
    assert (masked == MASK).sum() == count


def static_values(wanted, scale):
    """Return what a schedule gives where an integer is asked for, in float32."""
    actions = (
        ActionSpec(name=str(n), activation="sigmoid", scale=scale, static=Constant(value=n))
        for n in wanted
    )
    spec = ScheduleSpec(steps=1, actions=tuple(actions))
    zeros = np.zeros((1, len(wanted)), np.float32)
    values, _ = Schedule(spec, 1, 1).decide(zeros, np.zeros(1, np.int64), zeros)
    return np.concatenate(list(values.values()))


def test_a_static_top_k_arrives_whole(ops):
    """A seventh of them are up to three units in the last place below what was asked for."""
    wanted = np.arange(1, 4096, 13)
    values = static_values(wanted, 4096)
    assert (values < wanted).any()
    # Of equal noise in steps of one, the smallest score that is kept tells how many were.
    row = np.arange(4096, dtype=np.float32)[None, None] * np.float32(1e-4)
    noise = Injected(-2 * row)
    for value, number in zip(values, wanted, strict=True):
        drawn = ops.sample_top_k_top_p(row, row, *map(floats, (0, value, 1, 1)), noise)
        assert 4096 - drawn[0, 0] == number


def test_a_static_mask_ratio_arrives_whole(ops):
    confidence = np.arange(256, dtype=np.float32)[None]
    for number in range(1, 256):
        (ratio,) = static_values([number / 256], 1)
        masked = ops.remask(np.zeros((1, 256), np.int64), confidence, floats(ratio), MASK)
        assert (masked == MASK).sum() == number


def test_remask_leaves_ties_at_the_threshold(ops):
    masked = ops.remask(np.zeros((1, 4), np.int64), floats([1, 1, 1, 0]), floats(0.5), MASK)
    assert masked.tolist() == [[0, 0, 0, MASK]]


def test_remask_ignores_nan_and_keeps_infinite(ops):
    confidence = floats([np.nan, np.inf, -1, np.inf])
    masked = ops.remask(np.zeros((1, 4), np.int64), confidence, floats(0.75), MASK)
    assert masked.tolist() == [[0, 0, MASK, 0]]


@pytest.mark.parametrize(
    ("top_k", "kept"),
    [
        (0, [0, 1, 2, 3, 4]),
        (-3, [0, 1, 2, 3, 4]),
        (0.9, [0, 1, 2, 3, 4]),
        (1, [3]),
        (1.99, [3]),
        (2, [0, 3, 4]),
        (3, [0, 3, 4]),
        (4, [0, 2, 3, 4]),
        (5, [0, 1, 2, 3, 4]),
        (99, [0, 1, 2, 3, 4]),
    ],
)
def test_top_k_keeps_ties_at_the_threshold(ops, top_k, kept):
    assert truncate(ops, [1, -1, 0, 2, 1], top_k=top_k) == kept


@pytest.mark.parametrize(
    ("top_p", "kept"),
    [
        (1, [0, 1, 2, 3]),
        (0.75, [1, 2, 3]),
        (0.7, [1, 2, 3]),
        (0.5, [2, 3]),
        (0.25, [3]),
        (0, [3]),
        (-1, [3]),
        (2, [0, 1, 2, 3]),
    ],
)
def test_top_p_drops_equal_entries_by_index(ops, top_p, kept):
    assert truncate(ops, [0, 0, 0, 0], top_p=top_p) == kept


def test_top_p_boundary_is_dropped(ops):
    # Probabilities 1/8, 1/8, 1/4, 1/2 are exact: the sum of the first three is just 1 - top_p.
    row = np.log([2, 1, 4, 1])
    assert truncate(ops, row, top_p=0.5) == [2]
    assert truncate(ops, row, top_p=0.51) == [0, 2]


def test_top_p_is_taken_of_what_top_k_leaves(ops):
    # Of 4, 2 and 1 the smallest has 1/7; of all it would have 1/10.
    row = np.log([4, 2, 1, 0.9, 0.8, 0.7, 0.6])
    assert truncate(ops, row, top_k=3, top_p=0.87) == [0, 1, 2]
    assert truncate(ops, row, top_k=3, top_p=0.85) == [0, 1]


def test_truncation_ignores_the_temperature(ops):
    row = np.log([2, 1, 4, 1])
    assert truncate(ops, row, top_p=0.51, temperature=5) == [0, 2]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["cond", "null", "guidance", "temperature"])
def test_a_sample_that_is_not_finite_is_marked_and_alone(ops, bad, where):
    case, truncated = guided_case((3, 4, 40)), truncated_case((3, 4, 40))
    (sampled, confidence), tokens = ops.guided_sample(**case), ops.sample_top_k_top_p(**truncated)
    for arguments in (case, truncated):
        arguments[where][1] = bad
    broken, doubt = ops.guided_sample(**case)
    masked = case["tokens"][1] == case["mask_id"]
    assert np.isnan(doubt[1]).tolist() == masked.tolist()
    assert np.all(broken[1][masked] == 0)
    assert np.all(ops.sample_top_k_top_p(**truncated)[1] == -1)
    for others in (0, 2):
        assert np.array_equal(broken[others], sampled[others])
        assert np.array_equal(doubt[others], confidence[others])
        assert np.array_equal(ops.sample_top_k_top_p(**truncated)[others], tokens[others])


def test_zero_temperature_takes_the_largest(ops):
    case = guided_case((2, 9, 50))
    case["temperature"] = floats(0, -1)
    sampled, confidence = ops.guided_sample(**case)
    guided = case["cond"] + case["guidance"][:, None, None] * (case["cond"] - case["null"])
    masked = case["tokens"] == case["mask_id"]
    assert np.array_equal(sampled[masked], guided.argmax(-1)[masked])
    assert np.all(np.isfinite(confidence[masked]))


def test_no_guidance_needs_no_null(ops):
    case = guided_case((2, 3, 8))
    other = {**case, "null": np.zeros_like(case["null"]), "guidance": floats(0, 0)}
    expected = ops.guided_sample(**{**case, "guidance": floats(0, 0)})
    assert np.array_equal(ops.guided_sample(**other)[0], expected[0])


def test_normal_moments(ops):
    drawn = ops.normal(np.asarray([1, 2]), (4, 100, 101))
    assert drawn.shape == (2, 4, 100, 101)
    assert drawn.dtype == np.float32
    assert drawn.mean() == pytest.approx(0, abs=0.01)
    assert drawn.std() == pytest.approx(1, abs=0.01)
    assert abs(np.corrcoef(drawn[0].ravel(), drawn[1].ravel())[0, 1]) < 0.02
