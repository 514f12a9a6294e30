"""A family that is one file outside of the package generates from the command line."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from adagen_rt.cuda.host import HostDriver
from adagen_rt.engine.family import find_family
from adagen_rt.engine.folder import open_engine, sha256
from adagen_rt.errors import EngineError
from adagen_rt.program import build_program
from adagen_rt.program.setting import Setting

TOY = Path(__file__).parent / "toy" / "toy_family.py"
CHANNELS, SIZE, CLASSES, STEPS = 1, 4, 3, 4
ROWS = ("rows", CHANNELS, SIZE, SIZE)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder as an installer leaves it: the module, and its entry point."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copy(TOY, folder)
    info = folder / "toy_family-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-family\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[adagen_rt.families]\ntoy = toy_family:FAMILY\n")
    return folder


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """Its backbone predicts a picture for each class, and black for none."""
    folder = tmp_path_factory.mktemp("engines") / "toy-shapes"
    folder.mkdir()
    pictures = np.zeros((CLASSES + 1, CHANNELS, SIZE, SIZE), np.float32)
    for number in range(CLASSES):
        pictures[number, :, number] = 1
    _save(folder / "backbone.onnx", _backbone(pictures))
    decoder = [helper.make_node("Identity", ["latents"], ["image"])]
    _save(folder / "decoder.onnx", (decoder, {"latents": ROWS}, {"image": ROWS}, {}))
    (folder / "manifest.json").write_text(json.dumps(_manifest(folder)))
    return folder


def run(site, *arguments):
    environment = dict(os.environ)
    paths = [str(site), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    command = [sys.executable, "-m", "adagen_rt", *map(str, arguments)]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=120, cwd=site
    )


def test_it_generates(site, engine, tmp_path):
    out = tmp_path / "images.npz"
    done = run(site, "generate", "--engine", engine, "--count", 3, "--seed", 0, "--out", out)
    assert done.returncode == 0, done.stderr
    made = np.load(out)
    assert made["labels"].tolist() == [0, 1, 2]
    # Four steps at a rate of 0.9 leave a ten-thousandth of the noise.
    expected = np.zeros((3, SIZE, SIZE, CHANNELS))
    for number in range(3):
        expected[number, number] = 255
    assert np.abs(made["images"].astype(int) - expected).max() <= 1


def test_it_is_inspected_and_drawn(site, engine, tmp_path):
    done = run(site, "inspect", engine, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["family"]["family"] == "toy"
    picture = tmp_path / "grid.png"
    done = run(site, "generate", "--engine", engine, "--label", 2, "--count", 4, "--out", picture)
    assert done.returncode == 0, done.stderr
    with Image.open(picture) as drawn:
        assert drawn.size == (2 * SIZE, 2 * SIZE)


def test_without_the_entry_point_the_family_is_unknown(tmp_path, engine):
    done = run(tmp_path, "inspect", engine)
    assert done.returncode == 2
    assert "got 'toy', expected one of maskgit, var, dit, sit" in done.stderr


def test_a_family_without_a_program_is_refused_by_captured_pipelines(site, engine, monkeypatch):
    monkeypatch.syspath_prepend(str(site))
    driver = HostDriver()
    find_family.cache_clear()
    manifest = open_engine(engine).manifest
    find_family.cache_clear()
    setting = Setting(manifest, None, driver, driver.new_stream(), 1, STEPS, ())
    with pytest.raises(EngineError, match="family toy: has no device program"):
        build_program(setting)


def _backbone(pictures):
    nodes = [
        helper.make_node("Gather", ["pictures", "labels"], ["prediction"]),
        helper.make_node("Flatten", ["x"], ["flat"], axis=1),
        helper.make_node("Unsqueeze", ["flat", "axis"], ["features"]),
    ]
    inputs = {"x": ROWS, "labels": ("rows",)}
    outputs = {"prediction": ROWS, "features": ("rows", 1, CHANNELS * SIZE * SIZE)}
    return nodes, inputs, outputs, {"pictures": pictures, "axis": np.array([1])}


def _save(path, parts):
    nodes, inputs, outputs, weights = parts
    graph = helper.make_graph(
        nodes,
        path.stem,
        [_value(name, shape) for name, shape in inputs.items()],
        [_value(name, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.save(model, path)


def _value(name, shape):
    kind = TensorProto.INT64 if name == "labels" else TensorProto.FLOAT
    return helper.make_tensor_value_info(name, kind, shape)


def _manifest(folder):
    static = {"kind": "constant", "value": 0.9}
    guidance = {"kind": "constant", "value": 0.0001}
    x = {"name": "x", "dtype": "float32", "shape": ROWS}
    labels = {"name": "labels", "dtype": "int64", "shape": ["rows"]}
    prediction, latents, image = ({**x, "name": n} for n in ("prediction", "latents", "image"))
    features = {**x, "name": "features", "shape": ["rows", 1, CHANNELS * SIZE * SIZE]}
    graphs = {"backbone": ([x, labels], [prediction, features]), "decoder": ([latents], [image])}
    return {
        "format": 1,
        "name": "toy-shapes",
        "family": {"family": "toy", "channels": CHANNELS, "size": SIZE},
        "class_count": CLASSES,
        "image": {"size": SIZE, "channels": CHANNELS},
        "schedule": {
            "steps": STEPS,
            "actions": [
                {"name": "rate", "activation": "sigmoid", "static": static},
                {"name": "guidance_scale", "activation": "softplus", "static": guidance},
            ],
        },
        "graphs": {
            name: {"file": f"{name}.onnx", "inputs": a, "outputs": b, "parameters": 0}
            for name, (a, b) in graphs.items()
        },
        "dtype": "float32",
        "files": {f"{name}.onnx": sha256(folder / f"{name}.onnx") for name in graphs},
    }
