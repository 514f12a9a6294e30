"""A whole generation in one model makes the runtime's images."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import adagen_rt
from adagen_rt.engine.bundle import open_bundle
from adagen_rt.engine.folder import open_engine
from adagen_rt.errors import EngineError, ExportError, InputError
from adagen_rt.onegraph import write
from adagen_rt.onegraph.targets import write_triton
from adagen_rt.onegraph.write import write_bundle
from adagen_rt.sampling.params import SCHEDULES, SamplingParams, schedule_names

CASES = {
    "maskgit": ("fashion-maskgit", {}),
    "maskgit-unrolled": ("fashion-maskgit", {"form": "unrolled"}),
    "dit": ("fashion-dit", {}),
    "sit-fidelity": ("fashion-sit", {"fidelity_input": True}),
    "var": ("fashion-var", {}),
}


@pytest.fixture(scope="module", params=CASES)
def pair(request, tmp_path_factory):
    """A model, and the pipeline of the engine that it was written from."""
    name, options = CASES[request.param]
    out = tmp_path_factory.mktemp("bundle") / f"{request.param}.onnx"
    write_bundle(open_engine(name), out, **options)
    with adagen_rt.load(out, threads=1) as model, adagen_rt.load(name, threads=1) as runtime:
        yield model, runtime


def same(got, expected):
    off = np.abs(got.images.astype(int) - expected.images.astype(int))
    assert off.max() <= 1
    assert (off > 0).mean() < 1e-3
    assert got.schedule.keys() == expected.schedule.keys()
    for name, values in expected.schedule.items():
        np.testing.assert_allclose(got.schedule[name], values, rtol=1e-4, atol=1e-5, err_msg=name)
    np.testing.assert_array_equal(got.seeds, expected.seeds)
    assert got.failures == expected.failures


@pytest.mark.parametrize("count", [1, 3, 8])
def test_images_and_schedules_are_the_runtimes(pair, count):
    model, runtime = pair
    labels, seeds = [place % 10 for place in range(3, 3 + count)], list(range(40, 40 + count))
    shares = {"fidelity": np.linspace(0, 1, count).tolist()} if model.bundle.fidelity_input else {}
    same(model.generate(labels, seeds, **shares), runtime.generate(labels, seeds, **shares))


def test_a_sample_does_not_depend_on_its_neighbours(pair):
    model, _ = pair
    together = model.generate([1, 2, 3], [7, 8, 9])
    alone = model.generate([2], [8])
    np.testing.assert_array_equal(alone.images[0], together.images[1])


def test_the_file_is_standard_and_has_its_weights_once(pair):
    model, runtime = pair
    path = model.engine.path
    onnx.checker.check_model(path, full_check=True)
    proto = onnx.load(path)
    assert [(opset.domain, opset.version) for opset in proto.opset_import] == [("", 20)]
    assert not proto.functions
    engine = runtime.engine
    weights = sum(engine.graph_file(name).stat().st_size for name in engine.manifest.graphs)
    assert path.stat().st_size < 1.2 * weights
    assert model.bundle.checked["largest"] <= 1


def test_a_label_or_seed_out_of_range_fails_and_nothing_else(pair):
    model, _ = pair
    feeds = {"labels": np.array([3, 10, -1, 4, 5]), "seeds": np.array([1, 2, 3, -5, 6])}
    if model.bundle.fidelity_input:
        feeds["fidelity"] = np.zeros(5, np.float32)
    outputs = model.model.run(feeds)
    assert outputs["failed"].tolist() == [0, -1, -1, -1, 0]
    assert not outputs["images"][1:4].any()
    good = model.generate([3, 5], [1, 6])
    np.testing.assert_array_equal(outputs["images"][[0, 4]], good.images)


def test_the_host_sees_no_step(pair):
    model, _ = pair
    with pytest.raises(InputError, match="stream: got 'a whole generation in one file'"):
        next(model.stream([1], [2]))
    with pytest.raises(InputError, match="backend: got"):
        model.sampler  # noqa: B018
    steps = []
    model.generate([1, 2, 3], [4, 5, 6], batch_size=2, progress=steps.append)
    assert [step.preview().shape[0] for step in steps] == [2, 1]


def spoil(source, out):
    """Copy a model whose seventh class is not a number."""
    proto = onnx.load(source)
    for tensor in proto.graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.ndim == 2 and array.shape[0] == 11 and array.dtype == np.float32:
            broken = array.copy()
            broken[7] = np.nan
            tensor.CopyFrom(numpy_helper.from_array(broken, tensor.name))
    onnx.save(proto, out)
    return out


def test_what_is_not_finite_stays_in_its_sample(pair, tmp_path):
    model, _ = pair
    with adagen_rt.load(spoil(model.engine.path, tmp_path / "spoilt.onnx"), threads=1) as spoilt:
        result = spoilt.generate([6, 7, 8], [1, 2, 3])
    expected = model.generate([6, 7, 8], [1, 2, 3])
    assert list(result.failures) == [1]
    assert result.failures[1] >= 1
    np.testing.assert_array_equal(result.images[[0, 2]], expected.images[[0, 2]])
    assert not result.images[1].any()


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("fashion-maskgit", SamplingParams(best_of=3)),
        ("fashion-dit", SamplingParams(steps=4, schedule="tuned")),
        ("fashion-dit", SamplingParams(schedule="static")),
    ],
)
def test_parameters_are_written_into_the_model(name, params, tmp_path):
    engine = open_engine(name)
    write_bundle(engine, tmp_path / "one.onnx", params)
    with adagen_rt.load(tmp_path / "one.onnx", threads=1) as model:
        got = model.generate([1, 2, 3], [5, 6, 7], best_of=params.best_of)
        if params.best_of > 1:
            with pytest.raises(InputError, match="best_of: got 1, expected 3"):
                model.generate([1], [2])
        with pytest.raises(InputError, match="steps"):
            model.generate([1], [2], best_of=params.best_of, steps=6)
        # Else images of its own schedule would be said to be another's.
        own = params.schedule or "policy"
        for other in {*SCHEDULES} - {own}:
            with pytest.raises(InputError, match=f"schedule: got '{other}', expected {own}, as"):
                model.generate([1], [2], best_of=params.best_of, schedule=other)
        assert schedule_names(model.manifest) == (own,)
        assert got.made_by.facts["schedule"] == own
    with adagen_rt.load(name, threads=1) as runtime:
        expected = runtime.generate([1, 2, 3], [5, 6, 7], params)
    same(got, expected)
    if params.best_of > 1:
        np.testing.assert_allclose(got.rewards, expected.rewards, atol=1e-3)


def test_what_one_model_cannot_do_is_refused(tmp_path):
    engine, out = open_engine("fashion-var"), tmp_path / "one.onnx"
    with pytest.raises(InputError, match="refine"):
        write_bundle(engine, out, SamplingParams(refine=2))
    with pytest.raises(InputError, match="form: got 'loop', expected unrolled"):
        write_bundle(engine, out, form="loop")
    with pytest.raises(InputError, match=r"out: .*\.onnx"):
        write_bundle(engine, tmp_path / "one.png")
    with pytest.raises(EngineError, match="fidelity_policy"):
        write_bundle(open_engine_without("fidelity_policy"), out, fidelity_input=True)
    assert not list(tmp_path.iterdir())


def open_engine_without(name):
    engine = open_engine("fashion-dit")
    graphs = {key: graph for key, graph in engine.manifest.graphs.items() if key != name}
    manifest = engine.manifest.model_copy(update={"graphs": graphs})
    return type(engine)(engine.path, manifest, engine.hash)


def test_a_model_that_differs_does_not_appear(monkeypatch, tmp_path):
    class Brighter(write.BundledPipeline):
        def run(self, *arguments, **options):
            result = super().run(*arguments, **options)
            result.images[0, 0, 0, 0] ^= 64
            return result

    monkeypatch.setattr(write, "BundledPipeline", Brighter)
    with pytest.raises(ExportError, match="1 of 4 images differ from the runtime's, by up to 64"):
        write_bundle(open_engine("fashion-dit"), tmp_path / "one.onnx")
    assert not list(tmp_path.iterdir())


def test_a_file_of_others_is_no_engine(tmp_path):
    path = tmp_path / "other.onnx"
    path.write_bytes(open_engine("fashion-dit").graph_file("policy").read_bytes())
    with pytest.raises(EngineError, match="not written by adagen-rt bundle"):
        open_bundle(path)
    path.write_bytes(b"\x00 nothing")
    with pytest.raises(EngineError, match="not an ONNX model"):
        adagen_rt.load(path)


def test_triton_gets_a_repository(tmp_path):
    engine = open_engine("fashion-dit")
    (tmp_path / "other").mkdir()
    files = write_triton(engine, tmp_path, SamplingParams())
    assert {path.relative_to(tmp_path).as_posix() for path in files} == {
        "fashion-dit/1/model.onnx",
        "fashion-dit/config.pbtxt",
    }
    config = (tmp_path / "fashion-dit" / "config.pbtxt").read_text()
    session = adagen_rt.load(tmp_path / "fashion-dit" / "1" / "model.onnx", threads=1)
    outputs = session.model.run({"labels": np.array([1]), "seeds": np.array([2])})
    text_format = pytest.importorskip("google.protobuf.text_format")
    schema = pytest.importorskip("tritonclient.grpc.model_config_pb2")
    parsed = text_format.Parse(config, schema.ModelConfig())
    assert (parsed.name, parsed.backend) == ("fashion-dit", "onnxruntime")
    assert parsed.max_batch_size > 1
    assert parsed.HasField("dynamic_batching")
    assert [one.name for one in parsed.input] == ["labels", "seeds"]
    made = {one.name: tuple(one.dims) for one in parsed.output}
    assert made == {name: array.shape[1:] or (1,) for name, array in outputs.items()}
    (tmp_path / "mine" / "fashion-dit").mkdir(parents=True)
    (tmp_path / "mine" / "fashion-dit" / "thesis.tex").touch()
    with pytest.raises(InputError, match=r"triton: got .* that has a config\.pbtxt"):
        write_triton(engine, tmp_path / "mine", SamplingParams())


def test_integer_weights_are_multiplied_as_the_runtime_does(tmp_path, monkeypatch):
    from adagen_rt.backends.onnxruntime import session
    from adagen_rt.quantization.engine import quantize_engine

    # Its sums are in another order, of which the roundings that follow make much.
    monkeypatch.setattr(session, "fuse_attention", lambda model: False)
    source = open_engine("fashion-maskgit")
    engine = quantize_engine(source, tmp_path / "int8")
    out = tmp_path / "int8.onnx"
    write_bundle(engine, out)
    proto = onnx.load(out)
    assert [opset.domain for opset in proto.opset_import] == [""]
    (loop,) = [node for node in proto.graph.node if node.op_type == "Loop"]
    (body,) = [attribute.g for attribute in loop.attribute if attribute.name == "body"]
    products = [node for node in body.node if node.op_type == "MatMulInteger"]
    unsigned = {t.name for t in proto.graph.initializer if t.data_type == onnx.TensorProto.UINT8}
    # Signed weights would overflow the fast sums of processors without VNNI.
    assert products
    assert {node.input[1] for node in products} <= unsigned
    assert out.stat().st_size < 1.2 * sum(
        engine.graph_file(name).stat().st_size for name in engine.manifest.graphs
    )
    assert error_between(out, engine.path) < 0.1
    # As both are shipped, a token flips now and then; other images would be at 1.4.
    monkeypatch.undo()
    assert error_between(out, engine.path) < engine.manifest.family.generation_limit == 0.7


def error_between(*engines):
    """How far images of two are from each other, over the deviation between images."""
    images = []
    for engine in engines:
        with adagen_rt.load(engine, threads=1) as pipeline:
            images.append(pipeline.generate(list(range(8)), list(range(8))).images.astype(int))
    return write.relative_error(*images)


def test_integer_weights_that_give_other_images_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(write, "relative_error", lambda got, expected: 9.0)
    engine = open_engine("fashion-sit").manifest.model_copy(update={"dtype": "int8"})
    folder = replace(open_engine("fashion-sit"), manifest=engine)
    with pytest.raises(ExportError, match="differ from the runtime's, by up to 9 of the deviation"):
        write_bundle(folder, tmp_path / "one.onnx")
    assert not (tmp_path / "one.onnx").exists()
