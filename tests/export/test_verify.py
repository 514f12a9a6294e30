"""What the comparison with PyTorch lets pass and what it refuses."""

import pytest

torch = pytest.importorskip("torch")

import numpy as np
import onnx
from golden_data import seeded
from onnx import numpy_helper

from adagen_rt.backends.onnxruntime.session import OnnxRuntime
from adagen_rt.engine.precision import save_graph
from adagen_rt.errors import ExportError
from adagen_rt.export.onnx_export import GraphPlan, Method, build_graph
from adagen_rt.export.verify import TOLERANCE, Expectation, expectations, measure_error
from adagen_rt.models.autoencoder import VQGAN, VQGANConfig
from adagen_rt.quantization.errors import measure_errors

NARROW = VQGANConfig(
    channels=32,
    multipliers=(1, 2),
    encoder_blocks=1,
    decoder_blocks=1,
    latent_channels=64,
    vocabulary=64,
)
WEIGHT = "module.module.{}.weight"


@pytest.fixture(scope="module")
def exported_decoder(tmp_path_factory):
    """A narrow decoder in half precision, and what PyTorch expects of it."""
    decoder = seeded(VQGAN(NARROW), "vqgan", "verify")
    tokens = torch.from_numpy(np.random.default_rng(0).integers(0, NARROW.vocabulary, (2, 64)))
    method = Method(decoder, "decode_tokens")
    plan = GraphPlan("decoder", method, {"tokens": tokens}, ("image",), {"tokens": {0: "rows"}})
    path = tmp_path_factory.mktemp("verify") / "decoder.onnx"
    save_graph(build_graph(plan, "float16"), path)
    return path, next(expectations(plan, "float16"))


def test_half_precision_passes(exported_decoder):
    assert 1e-4 < measure_error(*exported_decoder) < 0.1


def broken(path, out, name, change):
    """Write the graph with one weight changed in place."""
    model = onnx.load(path)
    (tensor,) = (one for one in model.graph.initializer if one.name.startswith(name))
    array = numpy_helper.to_array(tensor).copy()
    change(array)
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    onnx.save(model, out)
    return out


def double_output(array):
    array[0] *= 2


def drop_input(array):
    array[:, 1] = 0


BROKEN = {
    "one output channel of the first convolution": ("decoder.conv_in", double_output),
    "one input channel in the middle": ("decoder.mid.block_1.conv1", drop_input),
    "one colour": ("decoder.conv_out", double_output),
    "one code": ("quantize.embedding", double_output),
}


@pytest.mark.parametrize(("name", "change"), BROKEN.values(), ids=BROKEN)
def test_one_broken_channel_is_refused(exported_decoder, tmp_path, name, change):
    path, expected = exported_decoder
    graph = broken(path, tmp_path / "decoder.onnx", WEIGHT.format(name), change)
    with pytest.raises(ExportError, match=r"^decoder: differs from PyTorch by \d") as caught:
        measure_error(graph, expected)
    assert "\n" not in str(caught.value)


def narrow_errors(seed, spoil=lambda got: None):
    """Errors as a narrow VQGAN's: rms 2e-3, with a tail that reaches 3e-2 in a million pixels."""
    rng = np.random.default_rng(seed)
    expected = rng.normal(size=(2, 3, 256, 256))
    got = expected + 2e-3 * 0.7 * rng.standard_t(4, size=expected.shape)
    spoil(got)
    return measure_errors([{"image": got}], [{"image": expected}])


@pytest.mark.parametrize("seed", range(4))
def test_long_tails_pass(seed):
    errors = narrow_errors(seed)
    assert errors.largest > 2e-2
    assert not [*TOLERANCE["float16"].faults(errors)]


def one_row(got):
    got[1, :, 100] += 0.05


def one_pixel(got):
    got[0, 1, 20, 30] += 10


def nothing_known(got):
    got[0, 0, 0, 0] = np.nan


@pytest.mark.parametrize("spoil", [one_row, one_pixel, nothing_known])
def test_what_is_wrong_in_one_place_does_not(spoil):
    assert [*TOLERANCE["float16"].faults(narrow_errors(0, spoil))]


class Ratio(torch.nn.Module):
    """Divides by what may be zero, as linear attention does."""

    def forward(self, x):
        return x / (x + 1e-15)


def test_what_keeps_a_divisor_from_zero_stays(tmp_path):
    example = torch.zeros(2, 3)
    plan = GraphPlan("decoder", Ratio(), {"x": example}, ("y",), {"x": {0: "rows"}})
    path = tmp_path / "ratio.onnx"
    save_graph(build_graph(plan, "float32"), path)
    graph = OnnxRuntime(threads=1).load(path)
    np.testing.assert_array_equal(graph.run({"x": example.numpy()})["y"], np.zeros((2, 3)))


class Doubled(torch.nn.Module):
    """Twice what it sees."""

    def forward(self, x):
        return 2 * x


def test_a_graph_of_many_sizes_is_compared_at_others(tmp_path):
    """The graph is right at its own size alone: elsewhere it adds, or gives another shape."""
    x = torch.ones(2, 3)
    plan = GraphPlan("decoder", Doubled(), {"x": x}, ("y",), others=({"x": torch.ones(2, 6)},))
    own, other = expectations(plan, "float32")
    assert isinstance(own, Expectation)
    assert other.outputs["y"].shape == (2, 6)
    wide = np.concatenate([np.full(3, 2), np.full(3, 3)]).astype(np.float32)
    for width, weights, said in ((6, wide, "differs from PyTorch"), (1, wide[:1], "got the shape")):
        nodes = [
            onnx.helper.make_node("Slice", ["x", "zero", "width", "one"], ["part"]),
            onnx.helper.make_node("Mul", ["part", "weights"], ["y"]),
        ]
        constants = {"weights": weights, "zero": [0], "one": [1], "width": [width]}
        floats, free = onnx.TensorProto.FLOAT, ["rows", None]
        graph = onnx.helper.make_graph(
            nodes,
            "doubled",
            [onnx.helper.make_tensor_value_info("x", floats, free)],
            [onnx.helper.make_tensor_value_info("y", floats, free)],
            [numpy_helper.from_array(np.asarray(value), key) for key, value in constants.items()],
        )
        path = tmp_path / f"{width}.onnx"
        opset = [onnx.helper.make_opsetid("", 18)]
        onnx.save(onnx.helper.make_model(graph, ir_version=9, opset_imports=opset), path)
        with pytest.raises(ExportError, match=said):
            measure_error(path, other)
