"""Plans that TensorRT for RTX really builds, which takes no GPU."""

import onnx
import pytest
from manifests import refresh_hashes

pytest.importorskip("tensorrt_rtx")

from short_form import slow

from adagen_rt.backends.tensorrt.build import build_plans
from adagen_rt.backends.tensorrt.record import damage, mismatches, read_record
from adagen_rt.engine.folder import open_engine
from adagen_rt.errors import PlanError

BACKEND = "tensorrt-rtx"


def build(engine, **options):
    """Build, check that the set is whole and current, and return its record."""
    folder = build_plans(engine, BACKEND, **options)
    record = read_record(folder)
    assert list(damage(folder, record)) == []
    assert list(mismatches(record, engine.manifest, None, None)) == []
    assert {path.name for path in folder.iterdir()} == {*record.files, "record.json"}
    return record


def copy(engine, folder):
    """The engine's own files at another place."""
    folder.mkdir()
    for name in ("manifest.json", *engine.manifest.files):
        (folder / name).write_bytes((engine.path / name).read_bytes())
    return open_engine(folder)


@pytest.mark.parametrize(
    "name", ["fashion-dit", "fashion-var", *slow("fashion-maskgit", "fashion-sit")]
)
def test_shipped_engines(name, tmp_path):
    engine = copy(open_engine(name), tmp_path / name)
    record = build(engine, batches=(1, 8))
    calls = engine.manifest.schedule.steps if engine.manifest.family.family == "var" else 1
    assert len(record.plans["backbone"].profiles) == 2 * calls
    assert len(record.plans["decoder"].profiles) == 2


@pytest.fixture(scope="module", params=["maskgit", "var", "dit", "sit"])
def tiny(request, exported, tmp_path_factory):
    return copy(exported(request.param), tmp_path_factory.mktemp("engines") / request.param)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_every_family_in_every_precision(tiny, dtype):
    record = build(tiny, batches=(1, 2), dtype=dtype)
    assert record.dtype == dtype
    assert record.plans.keys() == tiny.manifest.graphs.keys()


def test_an_engine_of_half_precision(exported, tmp_path):
    engine = copy(exported("dit", dtype="float16"), tmp_path / "dit")
    assert build(engine, batches=(1,)).dtype == "float16"


def test_what_the_parser_says_comes_with_the_node(own_engine):
    path = own_engine / "decoder.onnx"
    model = onnx.load(path)
    model.graph.node[0].name, model.graph.node[0].op_type = "levels", "Det"
    onnx.save(model, path)
    refresh_hashes(own_engine)
    with pytest.raises(PlanError, match=r"graphs\.decoder .*node levels \(Det\): UNSUPPORTED_NODE"):
        build_plans(open_engine(own_engine), BACKEND)
    assert not (own_engine / "plans" / BACKEND).exists()


def test_a_graph_that_cannot_be_built(own_engine):
    path = own_engine / "decoder.onnx"
    model = onnx.load(path)
    model.graph.node[0].op_type = "Multinomial"
    onnx.save(model, path)
    refresh_hashes(own_engine)
    with pytest.raises(PlanError, match=r"graphs\.decoder .*TensorRT cannot") as caught:
        build_plans(open_engine(own_engine), BACKEND)
    assert "\n" not in str(caught.value)


def test_weights_that_cannot_be_read(own_engine):
    path = own_engine / "decoder.onnx"
    model = onnx.load(path)
    model.graph.initializer[0].raw_data = b"too short"
    onnx.save(model, path)
    refresh_hashes(own_engine)
    with pytest.raises(PlanError, match=r"graphs\.decoder .*TensorRT cannot read it: INVALID"):
        build_plans(open_engine(own_engine), BACKEND)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_exception_in_a_build_passes_through_tensorrt(own_engine, error):
    def stop(graph, phase, done, steps):
        if done == 1:
            raise error

    with pytest.raises(error):
        build_plans(open_engine(own_engine), BACKEND, progress=stop)
    assert list((own_engine / "plans").iterdir()) == []
