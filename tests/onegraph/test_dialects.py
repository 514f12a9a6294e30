"""What a host does not have is written in other operators, with the same results."""

import numpy as np
import onnx
import pytest
from traced_model import traced

import adagen_rt
from adagen_rt.backends.tensorrt.whole import build_whole
from adagen_rt.engine.folder import open_engine
from adagen_rt.errors import InputError
from adagen_rt.onegraph.dialects import DIALECTS
from adagen_rt.onegraph.write import write_bundle
from adagen_rt.ops.philox import Purpose, words
from adagen_rt.sampling.params import SamplingParams

#: What TensorRT's parser has no operators of, and no arithmetic with.
LACKING = {"BitwiseAnd", "BitwiseOr", "BitwiseXor", "BitShift"}
UNSIGNED = {onnx.TensorProto.UINT8, onnx.TensorProto.UINT32, onnx.TensorProto.UINT64}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_random_words_are_equal(dialect):
    seeds = np.array([0, 1, 2**40 + 7, 2**63 - 1])
    steps = np.array([0, 1, 2**32 - 1, 3])
    got = traced(lambda a, b: words(a, b, Purpose.TOKEN, 10), seeds, steps, make=DIALECTS[dialect])
    np.testing.assert_array_equal(got, words(seeds, steps, Purpose.TOKEN, 10))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_words_are_combined_bit_by_bit(dialect):
    a, b = np.random.default_rng(0).integers(0, 1 << 32, (2, 50))
    make = DIALECTS[dialect]
    np.testing.assert_array_equal(traced(lambda a, b: a ^ b, a, b, make=make), a ^ b)
    np.testing.assert_array_equal(traced(lambda a, b: a | b, a, b, make=make), a | b)
    np.testing.assert_array_equal(traced(lambda a, b: a & b, a, b, make=make), a & b)
    np.testing.assert_array_equal(traced(lambda a: a & 0xFFFF, a, make=make), a & 0xFFFF)
    flags = a < b
    got = traced(lambda a, b: (a & ~b) | (b & (a | b)), flags, flags[::-1].copy(), make=make)
    np.testing.assert_array_equal(got, flags | flags[::-1])


@pytest.fixture(scope="module", params=["classes", "prompts"])
def pair(request, judged_engine, prompt_engine, tmp_path_factory):
    """An engine, and its model for TensorRT."""
    judged = {"classes": lambda: judged_engine, "prompts": lambda: prompt_engine(judges=True)}
    engine = open_engine(judged[request.param]())
    out = tmp_path_factory.mktemp("dialect") / "one.onnx"
    write_bundle(engine, out, dialect="tensorrt")
    return engine, out


def nodes_of(graph):
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            yield from nodes_of(attribute.g)


def test_a_model_for_tensorrt_has_what_it_has(pair):
    _, out = pair
    proto = onnx.load(out)
    onnx.checker.check_model(out, full_check=True)
    nodes = list(nodes_of(proto.graph))
    assert not LACKING & {node.op_type for node in nodes}
    assert not UNSIGNED & {tensor.data_type for tensor in proto.graph.initializer}
    casts = [
        node.output[0]
        for node in nodes
        if node.op_type == "Cast" and node.attribute[0].i in UNSIGNED
    ]
    assert casts == ["images"]
    with adagen_rt.load(out, threads=1) as model:
        assert model.bundle.dialect == "tensorrt"


def test_tensorrt_reads_it(pair):
    trt = pytest.importorskip("tensorrt_rtx")
    logger = trt.Logger(trt.Logger.ERROR)
    network = trt.Builder(logger).create_network(
        1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    )
    parser = trt.OnnxParser(network, logger)
    assert parser.parse_from_file(str(pair[1])), parser.get_error(0).desc()
    assert "images" in [network.get_output(i).name for i in range(network.num_outputs)]


def test_what_it_cannot_do_is_refused(pair, tmp_path):
    engine, out = pair
    with pytest.raises(InputError, match="best_of: got 2, expected 1 for tensorrt"):
        write_bundle(engine, tmp_path / "x.onnx", SamplingParams(best_of=2), dialect="tensorrt")
    write_bundle(engine, tmp_path / "other.onnx")
    pytest.importorskip("tensorrt_rtx")
    bundle = open_engine(tmp_path / "other.onnx")
    with pytest.raises(InputError, match=r"engine: .*expected a file of adagen-rt bundle --for"):
        build_whole(bundle, "tensorrt-rtx")
    with pytest.raises(InputError, match="batch: got 0"):
        build_whole(open_engine(out), "tensorrt-rtx", batches=[0])


@pytest.mark.slow
def test_a_plan_of_a_whole_generation_is_built(pair, run, tmp_path):
    pytest.importorskip("tensorrt_rtx")
    plan = tmp_path / "one.plan"
    done = run("build", pair[1], "--backend", "tensorrt-rtx", "--batch", "1,2", "--out", plan)
    assert done.exit_code == 0, done.output
    assert plan.stat().st_size > 10_000
