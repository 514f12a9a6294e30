import numpy as np
import pytest

from adagen_rt.quantization.errors import largest_error, relative_error


def runs(*values):
    return [{"out": np.array(values, np.float64)}]


def test_errors_are_measured_in_deviations():
    expected = runs(1.0, 3.0)  # deviation 1
    assert largest_error(runs(1.5, 3.0), expected) == pytest.approx(0.5)
    assert relative_error(runs(1.5, 3.0), expected) == pytest.approx(0.5 / np.sqrt(2))


def test_rounding_of_rows_that_hardly_differ_is_no_error():
    expected = runs(0.584918, 0.5849181)
    assert largest_error(runs(0.5849184, 0.5849181), expected) < 1e-3
    assert largest_error(runs(0.5949184, 0.5849181), expected) > 1


def test_zeros_have_an_error_too():
    assert largest_error(runs(0.0, 0.25), runs(0.0, 0.0)) == pytest.approx(0.25)
