"""What a caller gets wrong is one line that names it."""

import json

import numpy as np
import pytest

import adagen_rt
from adagen_rt.backends import BACKENDS
from adagen_rt.engine.folder import open_engine
from adagen_rt.errors import EngineError, InputError

LISTED = "a list with an entry for each image"


def refuse(call, kind=InputError):
    with pytest.raises(kind) as caught:
        call()
    line = str(caught.value)
    assert "\n" not in line
    return line


@pytest.mark.parametrize("labels", ["square", 3, None, b"ab", {"a": 1}, np.array(3)], ids=repr)
def test_labels(judged_pipeline, labels):
    line = refuse(lambda: judged_pipeline.generate(labels))
    assert line.startswith("labels: got ")
    assert line.endswith(LISTED)


@pytest.mark.parametrize("engine", [None, 3, ["a"], "a\0b", "x" * 5000], ids=str)
def test_engines(engine):
    assert refuse(lambda: adagen_rt.load(engine)).startswith("engine: got ")


@pytest.mark.parametrize("backend", [None, 3, ["onnxruntime"], "tpu"], ids=str)
def test_backends(tiny_engine, backend):
    line = refuse(lambda: adagen_rt.load(tiny_engine, backend=backend))
    assert line.startswith("backend: got ")
    assert line.endswith(f"expected one of {', '.join(BACKENDS)}")


def test_providers(tiny_engine):
    assert refuse(lambda: adagen_rt.load(tiny_engine, provider=3)).startswith("provider: got 3")


def test_progress(judged_pipeline):
    line = refuse(lambda: judged_pipeline.generate([0], progress=3))
    assert line == "progress: got 3, expected a function of a step"


@pytest.mark.parametrize(
    "images",
    [
        "a.png",
        np.zeros((1, 3, 3, 1), np.uint8),
        np.zeros((2, 4, 4, 1), np.uint8),
        np.zeros((1, 4, 4, 1)),
    ],
    ids=["a name", "another size", "too many", "floats"],
)
def test_scored_images(judged_pipeline, images):
    line = refuse(lambda: judged_pipeline.score(images, [0]))
    assert line.startswith("images: got ")
    assert line.endswith("expected an array (1, 4, 4, 1) uint8")


def test_scores_need_a_reward_model(tiny_engine):
    pipeline = adagen_rt.load(tiny_engine, threads=1)
    images = pipeline.generate([0], [1]).images
    assert "'reward'" in refuse(lambda: pipeline.score(images, [0]), EngineError)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            lambda m: m["image"].update(size=64),
            "graphs.decoder.image: got the sizes (rows, 1, 4, 4)",
        ),
        (lambda m: m["image"].update(channels=3), "expected (any, 3, 4, 4)"),
        (
            lambda m: m["family"].update(vocabulary=9),
            "graphs.backbone.logits: got the sizes (rows, 16, 8)",
        ),
        (lambda m: m["family"].update(tokens=25), "expected (any, 25)"),
        (lambda m: m["schedule"]["actions"].pop(), "graphs.policy.raw: got the sizes (rows, 4)"),
    ],
)
def test_a_manifest_that_contradicts_itself(own_engine, change, told):
    alter(own_engine, change)
    assert told in refuse(lambda: open_engine(own_engine), EngineError)


def test_a_manifest_that_contradicts_its_files(own_engine):
    def change(manifest):
        manifest["graphs"]["policy"]["inputs"][0]["shape"] = ["rows", 16, 7]

    alter(own_engine, change)
    line = refuse(lambda: open_engine(own_engine), EngineError)
    assert line.endswith(
        "policy.onnx: features: got float32 (rows, 16, 6), expected float32 (rows, 16, 7) "
        "as in the manifest"
    )


def alter(folder, change):
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))
