"""Errors travel between processes whole."""

import pickle
from importlib import import_module

import pytest

from adagen_rt import errors

ERRORS = [
    errors.InputError("steps", 0, "an integer from 1 to 1000"),
    errors.EngineError("a line"),
    errors.MissingExtraError("openvino", "openvino"),
    errors.KernelsError("no kernels"),
    errors.QueueFullError(4, 0.5),
    errors.DeadlineError(2.0),
    errors.ServerError("500: oh", 500),
    errors.SampleError(3),
    errors.ForkedError("tiny", 12),
    errors.StoppedError("closed"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_errors_pickle(error):
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)


def test_notes_travel_too():
    error = errors.InputError("a", 1, "b")
    error.hint = "more"
    assert pickle.loads(pickle.dumps(error)).hint == "more"


def test_all_kinds_are_tried():
    kinds = set(errors.AdagenError.__subclasses__())
    own = {kind for kind in kinds if "__init__" in vars(kind)}
    assert own <= {type(error) for error in ERRORS}


def test_a_failed_import_names_its_extra_and_stale_kernels_name_themselves():
    missing = pytest.raises(errors.MissingExtraError, match=r"nowhere is not .*adagen-rt\[hub\]")
    with missing, errors.needs_extra("hub"):
        import_module("nowhere")
    with pytest.raises(errors.KernelsError, match="stale"), errors.needs_extra("torch"):
        raise errors.KernelsError("stale")
