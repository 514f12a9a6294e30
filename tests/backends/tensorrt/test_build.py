"""Building a set of plans, with stand-ins for the modules."""

import json
import os
import sys
from dataclasses import replace

import numpy as np
import onnx
import pytest
from manifests import refresh_hashes

from adagen_rt.backends.tensorrt.build import build_plans
from adagen_rt.backends.tensorrt.record import read_record
from adagen_rt.engine.folder import open_engine
from adagen_rt.errors import AdagenError, DeviceError, InputError, MissingExtraError, PlanError


@pytest.fixture
def rename_operator(own_engine):
    """Returns a function that gives a node of the decoder an operator that is not known."""

    def rename(name):
        path = own_engine / "decoder.onnx"
        model = onnx.load(path)
        model.graph.node[0].name = name
        model.graph.node[0].op_type = "Det"
        onnx.save(model, path)
        refresh_hashes(own_engine)

    return rename


def test_every_graph_has_a_plan_and_the_record_tells_of_it(own_engine, stand_in):
    stand_in("tensorrt-rtx")
    engine = open_engine(own_engine)
    folder = build_plans(engine, "tensorrt-rtx", batches=(8, 1))
    assert folder == own_engine / "plans" / "tensorrt-rtx"
    record = read_record(folder)
    assert (record.backend, record.version, record.target) == ("tensorrt-rtx", "1.7.1", "portable")
    assert (record.dtype, record.batches) == ("float32", (1, 8))
    assert record.plans.keys() == engine.manifest.graphs.keys()
    assert set(record.files) == {"backbone.plan", "decoder.plan", "policy.plan"}
    assert record.plans["backbone"].sources == {
        "backbone.onnx": engine.manifest.files["backbone.onnx"]
    }
    assert json.loads((folder / "decoder.plan").read_text())["profiles"] == [
        {"tokens": [1, 16]},
        {"tokens": [8, 16]},
    ]
    open_engine(own_engine)


def test_weights_beside_the_graph_are_part_of_its_source(own_engine, stand_in):
    stand_in("tensorrt-rtx")
    path = own_engine / "decoder.onnx"
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, location="decoder.data", size_threshold=0)
    refresh_hashes(own_engine)
    record = read_record(build_plans(open_engine(own_engine), "tensorrt-rtx"))
    assert record.plans["decoder"].sources.keys() == {"decoder.onnx", "decoder.data"}


def test_tensorrt_builds_for_the_gpu_and_keeps_its_timings(own_engine, stand_in, gpu):
    stand_in("tensorrt")
    gpu("9.0")
    engine = open_engine(own_engine)
    folder = build_plans(engine, "tensorrt", batches=(1,))
    assert read_record(folder).target == "9.0"
    assert (folder / "timing.cache").read_bytes() == b"+" * 3
    build_plans(engine, "tensorrt", batches=(1,))
    assert (folder / "timing.cache").read_bytes() == b"+" * 6
    assert "timing.cache" in read_record(folder).files


@pytest.mark.parametrize("fault", ["altered", "version", "gpu"])
def test_timings_of_something_else_are_not_used(own_engine, stand_in, gpu, fault):
    stand_in("tensorrt")
    folder = build_plans(open_engine(own_engine), "tensorrt", batches=(1,))
    if fault == "altered":
        (folder / "timing.cache").write_bytes(b"+-+")
    elif fault == "version":
        stand_in("tensorrt", "10.9.0")
    else:
        gpu("8.6")
    build_plans(open_engine(own_engine), "tensorrt", batches=(1,))
    assert (folder / "timing.cache").read_bytes() == b"+" * 3


def test_half_precision_is_built_from_a_twin(own_engine, stand_in):
    pytest.importorskip("onnx_ir")
    stand_in("tensorrt-rtx")
    engine = open_engine(own_engine)
    folder = build_plans(engine, "tensorrt-rtx", dtype="float16")
    record = read_record(folder)
    assert record.dtype == "float16"
    assert (
        record.plans["backbone"].sources["backbone.onnx"]
        == (engine.manifest.files["backbone.onnx"])
    )
    assert {path.name for path in folder.iterdir()} == {*record.files, "record.json"}


def test_progress_names_graph_and_phase(own_engine, stand_in):
    stand_in("tensorrt-rtx")
    told = []
    build_plans(open_engine(own_engine), "tensorrt-rtx", progress=lambda *news: told.append(news))
    assert {news[0] for news in told} == {"backbone", "decoder", "policy"}
    assert [news[1:] for news in told[:4]] == [("Building", done, 2) for done in (0, 1, 2, 2)]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"backend": "abacus"}, "backend: got 'abacus', expected one of tensorrt, tensorrt-rtx"),
        ({"batches": ()}, "batch"),
        ({"batches": (0,)}, "batch: got 0"),
        ({"batches": (10**6,)}, "batch: got 1000000"),
        ({"batches": range(1, 18)}, "batch"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(own_engine, stand_in, options, named):
    stand_in("tensorrt-rtx")
    with pytest.raises(InputError, match=named):
        build_plans(open_engine(own_engine), **{"backend": "tensorrt-rtx", **options})
    assert not (own_engine / "plans").exists()


def test_half_precision_weights_cannot_become_another(own_engine, stand_in):
    stand_in("tensorrt-rtx")
    engine = open_engine(own_engine)
    half = engine.manifest.model_copy(update={"dtype": "float16"})
    engine = replace(engine, manifest=half)
    with pytest.raises(InputError, match=r"dtype: got 'float32', expected float16.*export it in"):
        build_plans(engine, "tensorrt-rtx", dtype="float32")


def test_a_missing_module_names_the_extra(own_engine, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(MissingExtraError, match=r"adagen-rt\[tensorrt\]"):
        build_plans(open_engine(own_engine), "tensorrt")


def test_a_version_that_is_not_known_is_refused(own_engine, stand_in):
    stand_in("tensorrt", "12.0.0")
    with pytest.raises(AdagenError, match=r"tensorrt: got version 12\.0\.0, expected 10 or 11"):
        build_plans(open_engine(own_engine), "tensorrt")


def test_tensorrt_wants_a_gpu(own_engine, stand_in, monkeypatch):
    stand_in("tensorrt")
    monkeypatch.setattr("adagen_rt.backends.gpu.DRIVER", "libnothing.so.1")
    with pytest.raises(DeviceError, match=r"no NVIDIA GPU: .*libnothing\.so\.1"):
        build_plans(open_engine(own_engine), "tensorrt")
    assert not (own_engine / "plans").exists()


def test_a_folder_that_cannot_be_written_is_refused(own_engine, stand_in, monkeypatch, tmp_path):
    stand_in("tensorrt-rtx")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(InputError, match=r"out: .*a place to write"):
        build_plans(open_engine(own_engine), "tensorrt-rtx", out=tmp_path / "plans")
    assert not (tmp_path / "plans").exists()


@pytest.mark.parametrize(("name", "told"), [("my_node", "my_node"), ("", "number 0")])
def test_what_the_parser_says_comes_with_the_node(
    own_engine, stand_in, rename_operator, name, told
):
    stand_in("tensorrt-rtx")
    rename_operator(name)
    message = rf"graphs\.decoder .*node {told} \(Det\): UNSUPPORTED_NODE: no such layer"
    with pytest.raises(PlanError, match=message) as caught:
        build_plans(open_engine(own_engine), "tensorrt-rtx")
    assert "\n" not in str(caught.value)


def test_a_graph_that_decides_shapes_on_the_host_is_refused(own_engine, stand_in, monkeypatch):
    stand_in("tensorrt-rtx")
    tensor = type("Tensor", (), {"name": "tokens", "is_shape_tensor": True})
    monkeypatch.setattr("fake_tensorrt.Network.get_input", lambda self, index: tensor)
    with pytest.raises(PlanError, match="input 'tokens' decides the shape"):
        build_plans(open_engine(own_engine), "tensorrt-rtx")


def test_a_failed_build_tells_what_the_log_says(own_engine, stand_in, monkeypatch):
    stand_in("tensorrt-rtx")

    def fail(self, network, config):
        self.logger.log(1, "Error Code 9:\n no memory")
        self.logger.log(2, "a warning")

    monkeypatch.setattr("fake_tensorrt.Builder.build_serialized_network", fail)
    with pytest.raises(PlanError, match=r"cannot build it: Error Code 9: no memory$"):
        build_plans(open_engine(own_engine), "tensorrt-rtx")


def test_a_folder_of_other_things_is_not_replaced(own_engine, stand_in):
    stand_in("tensorrt-rtx")
    other = own_engine / "plans" / "tensorrt-rtx"
    other.mkdir(parents=True)
    np.save(other / "thesis.npy", np.zeros(3))
    with pytest.raises(InputError, match=r"record\.json"):
        build_plans(open_engine(own_engine), "tensorrt-rtx")
    assert (other / "thesis.npy").is_file()
