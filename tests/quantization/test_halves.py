"""Weights stored as float16 take half the room, and compute what they computed."""

import numpy as np
import onnx
import pytest

pytest.importorskip("onnx_ir", reason="needs the extra int8")

from click.testing import CliRunner

from adagen_rt import load
from adagen_rt.cli import main
from adagen_rt.engine.folder import open_engine
from adagen_rt.onegraph.write import write_bundle
from adagen_rt.quantization import halve_engine, quantize_engine

LABELS, SEEDS = [1, 5, 9], [2, 3, 4]


@pytest.fixture(scope="module", params=["fashion-sit", "fashion-var"])
def pair(request, tmp_path_factory):
    original = open_engine(request.param)
    return original, halve_engine(original, tmp_path_factory.mktemp("half") / request.param)


def test_it_is_half_as_large(pair):
    original, half = pair
    for name in ("backbone", "decoder", "policy", "critic"):
        sizes = [engine.graph_file(name).stat().st_size for engine in (half, original)]
        assert sizes[0] < 0.62 * sizes[1], name
        assert half.manifest.graphs[name].error < 0.02
    assert half.manifest.name == original.manifest.name
    assert half.manifest.dtype == original.manifest.dtype
    assert half.manifest.schedule == original.manifest.schedule


def test_weights_are_those_of_before_rounded(pair):
    _original, _half = pair
    first, second = (onnx.load(engine.graph_file("decoder")) for engine in pair)
    before = {w.name: onnx.numpy_helper.to_array(w) for w in first.graph.initializer}
    after = {w.name: onnx.numpy_helper.to_array(w) for w in second.graph.initializer}
    halves = [name for name in after if name.endswith(".half")]
    assert halves
    for name in halves:
        own = before[name.removesuffix(".half")]
        assert np.array_equal(after[name], own.astype(np.float16))
    kept = {name for name in before if f"{name}.half" not in after}
    assert all(np.array_equal(before[name], after[name]) for name in kept)


def test_images_are_nearly_the_same(pair):
    original, _half = pair
    images = [
        load(engine.path, threads=1).generate(LABELS, SEEDS, schedule="static").images.astype(int)
        for engine in pair
    ]
    if original.manifest.family.family == "var":  # a token may flip
        assert (images[0] != images[1]).mean() < 0.4
    else:
        assert np.abs(images[0] - images[1]).max() <= 8


def test_it_can_be_one_file(pair, tmp_path):
    _, half = pair
    write_bundle(half, tmp_path / "half.onnx")
    made = [
        load(path, threads=1).generate([3], [4]) for path in (half.path, tmp_path / "half.onnx")
    ]
    assert np.abs(made[0].images.astype(int) - made[1].images).max() <= 1


def test_integers_stay_integers(tmp_path):
    twin = quantize_engine(open_engine("fashion-maskgit"), tmp_path / "int8")
    half = halve_engine(twin, tmp_path / "half")
    assert half.manifest.dtype == "int8"
    sizes = [engine.graph_file("backbone").stat().st_size for engine in (half, twin)]
    assert sizes[0] < sizes[1]
    assert not load(half.path, threads=1).generate(LABELS, SEEDS).failures


def test_the_command_writes_it(tmp_path):
    out = tmp_path / "half"
    done = CliRunner().invoke(main, ["quantize", "fashion-dit", "--half", "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert done.output.endswith(f"written: {out}\n")
    assert open_engine(out).manifest.name == "fashion-dit"


def test_what_has_no_large_weights_left_is_called_a_copy(pair, tmp_path):
    _, half = pair
    told = []
    again = halve_engine(half, tmp_path / "again", progress=told.append)
    assert told[-1] == f"{half.manifest.name} has no large float32 weights: this is a copy"
    sizes = [engine.graph_file("backbone").stat().st_size for engine in (half, again)]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.01)
