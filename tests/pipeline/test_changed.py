"""Files that change between their check and the end of their loading."""

import pytest

from adagen_rt.engine.folder import open_engine
from adagen_rt.errors import EngineError
from adagen_rt.pipeline.stepwise import StepwisePipeline


@pytest.mark.parametrize("how", ["rewritten", "replaced"])
def test_what_was_changed_meanwhile_is_not_used(own_engine, how):
    opened = open_engine(own_engine)
    file = own_engine / "decoder.onnx"
    content = file.read_bytes()
    if how == "replaced":
        file.rename(own_engine / "old")
    # Even the same bytes: nobody knows which were read.
    file.write_bytes(content)
    with pytest.raises(EngineError, match=r"decoder\.onnx: changed while it was loaded"):
        StepwisePipeline(opened)


def test_what_was_not_is(own_engine):
    StepwisePipeline(open_engine(own_engine))
