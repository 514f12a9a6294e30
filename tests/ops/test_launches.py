"""What a launch asks of a block."""

import ctypes

import pytest

from adagen_rt.cuda.kernels import SHARED_LIMIT
from adagen_rt.errors import EngineError
from adagen_rt.ops import launches, structs


def truncated_sampling(vocabulary):
    logits = structs.Logits(None, None, None, 1.0, 0, 2, 3, vocabulary)
    return structs.SampleTopKTopP(logits=logits)


def test_a_launch_carries_the_whole_struct():
    op = truncated_sampling(4096)
    launch = launches.sample_top_k_top_p(op)
    assert launch.grid == (6, 1)
    assert launch.shared == 2 * launches.padded_size(4096) * 4 <= SHARED_LIMIT
    assert launch.arguments == ctypes.string_at(ctypes.addressof(op), ctypes.sizeof(op))


def test_a_vocabulary_too_large_for_a_block_is_refused():
    with pytest.raises(EngineError, match=r"sample_top_k_top_p: .* expected at most 98304"):
        launches.sample_top_k_top_p(truncated_sampling(16384))
