"""Parameters of tests that take minutes together: a run of all tests makes do with a few."""

import pytest


def slow(*cases):
    """Mark cases of a parametrised test as slow; a tuple has several arguments."""
    given = (case if isinstance(case, tuple) else (case,) for case in cases)
    return [pytest.param(*case, marks=pytest.mark.slow) for case in given]
