"""The mirrored structs are as large as those that the kernels were compiled with."""

import ctypes

import pytest

from adagen_rt import _kernels
from adagen_rt.ops import structs

OPS = {
    "guided_sample": structs.GuidedSample,
    "normal": structs.Normal,
    "pixels": structs.Pixels,
    "remask": structs.Remask,
    "sample_top_k_top_p": structs.SampleTopKTopP,
    "schedule": structs.Schedule,
    "solver_times": structs.SolverTimes,
    "solver_update": structs.SolverUpdate,
}


@pytest.mark.parametrize("name", OPS)
def test_sizes_agree(name):
    assert ctypes.sizeof(OPS[name]) == _kernels.struct_size(name)


def test_a_struct_of_another_op_is_refused():
    with pytest.raises(ValueError, match="another size"):
        _kernels.launch("remask", bytes(structs.Normal()), 1)


def test_an_unknown_op_is_refused():
    with pytest.raises(KeyError, match="blur"):
        _kernels.launch("blur", b"", 1)
