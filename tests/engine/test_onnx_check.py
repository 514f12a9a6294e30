import os
import shutil

import numpy as np
import onnx
import pytest
from manifests import refresh_hashes
from onnx import TensorProto, helper, numpy_helper

from adagen_rt.engine.folder import open_engine
from adagen_rt.errors import EngineError


def test_a_truncated_graph_with_a_fitting_hash_is_refused(own_engine):
    path = own_engine / "backbone.onnx"
    path.write_bytes(path.read_bytes()[:-100])
    refresh_hashes(own_engine)
    with pytest.raises(EngineError, match="not an ONNX file"):
        open_engine(own_engine)


def write_external(folder, location):
    """Let the decoder read its levels from ``location``."""
    path = folder / "decoder.onnx"
    model = onnx.load(path)
    tensor = next(t for t in model.graph.initializer if t.name == "levels")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    onnx.save(model, path)
    refresh_hashes(folder)


def levels():
    return np.linspace(0, 1, 8, dtype=np.float32).tobytes()


def test_external_data_inside_the_folder_is_accepted(own_engine):
    (own_engine / "decoder.data").write_bytes(levels())
    write_external(own_engine, "decoder.data")
    open_engine(own_engine)


@pytest.mark.parametrize("place", ["../secret", "{absolute}", "sub/../../secret"])
def test_external_data_elsewhere_is_refused(own_engine, place):
    secret = own_engine.parent / "secret"
    secret.write_bytes(levels())
    write_external(own_engine, place.format(absolute=secret))
    with pytest.raises(EngineError, match="external data"):
        open_engine(own_engine)


def test_external_data_through_a_link_to_elsewhere_is_refused(own_engine):
    secret = own_engine.parent / "secret"
    secret.write_bytes(levels())
    (own_engine / "decoder.data").symlink_to(secret)
    write_external(own_engine, "decoder.data")
    with pytest.raises(EngineError, match=r"decoder\.data.*cp -rL"):
        open_engine(own_engine)


def test_a_copy_by_hard_links_leaves_the_engine_as_it_is(own_engine, tmp_path):
    """As `cp -al` and `rsync --link-dest` make them; the hash says what the file holds."""
    (own_engine / "decoder.data").write_bytes(levels())
    write_external(own_engine, "decoder.data")
    shutil.copytree(own_engine, tmp_path / "snapshot", copy_function=os.link)
    for folder in (own_engine, tmp_path / "snapshot"):
        assert open_engine(folder).manifest.name


def test_external_data_of_a_nested_graph_is_found(own_engine):
    tensor = numpy_helper.from_array(np.zeros(2, np.float32), "hidden")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../secret")
    output = helper.make_tensor_value_info("hidden", TensorProto.FLOAT, [2])
    branch = helper.make_graph([], "branch", [], [output], [tensor])
    path = own_engine / "decoder.onnx"
    model = onnx.load(path)
    model.graph.node.append(
        helper.make_node("If", ["c"], ["unused"], then_branch=branch, else_branch=branch)
    )
    onnx.save(model, path)
    refresh_hashes(own_engine)
    with pytest.raises(EngineError, match="external data"):
        open_engine(own_engine)
