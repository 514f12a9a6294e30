import numpy as np
import pytest

from adagen_rt.quantization.errors import measure_errors, relative_error


def runs(*values):
    return [{"out": np.array(values, np.float64)}]


def largest(got, expected):
    return measure_errors(got, expected).largest


def test_errors_are_measured_in_deviations():
    expected = runs(1.0, 3.0)  # deviation 1
    errors = measure_errors(runs(1.5, 3.0), expected)
    assert errors.largest == pytest.approx(0.5)
    assert errors.rms == relative_error(runs(1.5, 3.0), expected) == pytest.approx(0.5 / np.sqrt(2))


def test_rounding_of_rows_that_hardly_differ_is_no_error():
    expected = runs(0.584918, 0.5849181)
    assert largest(runs(0.5849184, 0.5849181), expected) < 1e-3
    assert largest(runs(0.5949184, 0.5849181), expected) > 1


def test_zeros_have_an_error_too():
    assert largest(runs(0.0, 0.25), runs(0.0, 0.0)) == pytest.approx(0.25)


def test_the_quantile_leaves_the_tail_out_and_the_part_finds_a_channel():
    expected = np.random.default_rng(0).normal(size=(2, 400, 60))
    got = expected.copy()
    got[1, 7, 3] += 1
    alone = measure_errors([{"out": got}], [{"out": expected}])
    assert alone.high == 0
    assert alone.largest == pytest.approx(1, rel=0.05)
    assert alone.part == pytest.approx(np.sqrt(1 / 120), rel=0.05)  # of 120 entries at index 7
    got[:, :, 3] += 1
    channel = measure_errors([{"out": got}], [{"out": expected}])
    assert channel.part == pytest.approx(1, rel=0.05)
    assert channel.rms == pytest.approx(np.sqrt(1 / 60), rel=0.05)


def test_the_worst_output_and_every_run_count():
    expected = [{"a": np.array([1.0, -1.0]), "b": np.array([1.0, -1.0])} for _ in range(2)]
    got = [expected[0], {"a": np.array([1.0, -1.0]), "b": np.array([1.0, -0.5])}]
    assert measure_errors(got, expected).largest == pytest.approx(0.5)


def test_not_a_number_is_never_within_a_limit():
    errors = measure_errors(runs(np.nan, 1.0), runs(0.0, 1.0))
    assert not any(error <= 1e9 for error in vars(errors).values())
