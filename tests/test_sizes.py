"""Images of other sizes than the engine's own, on every way to them."""

import json
import re

import numpy as np
import pytest
from http_server import ask, running
from once import engine_once
from PIL import Image
from tiny_sizes import CHANNELS, DYNAMIC, FACTOR, SIDE, build_sizes_engine, images_of

import adagen_rt
from adagen_rt.engine.folder import open_engine
from adagen_rt.engine.manifest import Manifest
from adagen_rt.engine.sections import SizesSpec
from adagen_rt.errors import EngineError, InputError
from adagen_rt.extent import Extent
from adagen_rt.ops.cpu import CpuOps
from adagen_rt.sampling.params import SamplingParams
from adagen_rt.serving import BatchEngine

LABELS, SEEDS = [3, 0, 2], [5, 2**63 - 1, 7]
#: Width first, and height and width of the same.
WIDE, SHAPE = "24x12", (12, 24)


def expected(labels=LABELS, seeds=SEEDS, shape=SHAPE, steps=3):
    latents = (CHANNELS, *(side // FACTOR for side in shape))
    return images_of(CpuOps().normal(np.asarray(seeds), latents), labels, steps)


def assert_same(images, others):
    assert images.shape == others.shape
    assert np.abs(images.astype(int) - others.astype(int)).max() <= 1
    assert images.std() > 10


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    return engine_once(tmp_path_factory, "tiny-sizes", build_sizes_engine)


@pytest.fixture(scope="module")
def pipeline(engine):
    with adagen_rt.load(engine.path, threads=1) as pipeline:
        yield pipeline


@pytest.mark.parametrize("size", [WIDE, (24, 12), "24X12"])
def test_images_are_as_large_as_they_are_asked_for(pipeline, size):
    result = pipeline.generate(LABELS, SEEDS, size=size)
    assert_same(result.images, expected())
    assert result.origin.facts["size"] == WIDE


def test_the_shift_follows_the_size(pipeline):
    """Of the engine's own size it is another, and the last evaluation's time with it."""
    times = {}
    for size, tokens in (("16", 16), ("32x32", 64), ("8x4", 2)):
        result = pipeline.generate([1], [1], size=size)
        sigma, shift = 1 / 3, DYNAMIC.shift(tokens)
        last = 1 - shift * sigma / (1 + (shift - 1) * sigma)
        assert result.schedule["time"][2, 0] == pytest.approx(last, abs=1e-5)
        times[size] = last
    assert len(set(times.values())) == 3


def test_the_own_size_is_the_default(pipeline):
    own = pipeline.generate(LABELS, SEEDS)
    assert own.images.shape == (3, 16, 16, 3)
    assert pipeline.generate(LABELS, SEEDS, size="16x16") == own
    assert "size" not in pipeline.generate([1], [1], size="16").origin.facts


def test_sizes_take_turns(pipeline):
    first = pipeline.generate(LABELS, SEEDS, size=WIDE)
    pipeline.generate(LABELS, SEEDS, size="12x24")
    assert pipeline.generate(LABELS, SEEDS, size=WIDE, batch_size=2) == first


@pytest.mark.parametrize("size", ["24x10", "36x16", "0x16", "16x", "1024x", "x", "", "a", "1x1x1"])
@pytest.mark.parametrize("given", [str, lambda size: tuple(size.split("x"))])
def test_other_sizes_are_refused(pipeline, size, given):
    with pytest.raises(InputError, match=r"^size: got"):
        pipeline.generate([1], size=given(size))


@pytest.mark.parametrize("size", [True, 16, 1.5, [16], (16, 16.0), None])
def test_what_is_no_size_is_refused(pipeline, size):
    if size is None:
        assert pipeline.generate([1], [1], size=None).images.shape[1:3] == (16, 16)
        return
    with pytest.raises(InputError, match=r"^size: got .*, expected WIDTHxHEIGHT or SIDE"):
        pipeline.generate([1], size=size)


def test_an_engine_of_one_size_says_which(tiny_engine):
    with adagen_rt.load(tiny_engine, threads=1) as pipeline:
        assert pipeline.generate([1], size="4").images.shape == (1, 4, 4, 1)
        with pytest.raises(InputError, match=re.escape("size: got '8x4', expected 4x4")):
            pipeline.generate([1], size="8x4")


def test_previews_have_the_size(pipeline):
    steps = list(pipeline.stream([1, 2], [3, 4], size=WIDE))
    assert steps[0].preview().shape == (2, *SHAPE, 3)
    np.testing.assert_array_equal(
        steps[-1].preview(), pipeline.generate([1, 2], [3, 4], size=WIDE).images
    )


def test_pictures_are_made_and_made_again(run, engine, tmp_path):
    out, again, preview = (tmp_path / name for name in ("a.png", "b.png", "steps.png"))
    asked = ("--engine", engine.path, "--label", 3, "--count", 1, "--seed", 5, "--size", WIDE)
    done = run("generate", *asked, "--out", out, "--preview", preview)
    assert done.exit_code == 0, done.output
    done = run("generate", "--repeat", out, "--engine", engine.path, "--out", again)
    assert done.exit_code == 0, done.output
    for path in (out, again):
        with Image.open(path) as picture:
            assert picture.size == (24, 12)
            assert_same(np.asarray(picture)[None], expected([3], [5]))
    with Image.open(preview) as picture:
        assert picture.size[1] % 12 == 0
        assert picture.size[0] % 24 == 0


def test_a_folder_goes_on_at_its_size_alone(run, engine, tmp_path):
    asked = (
        "generate",
        "--engine",
        engine.path,
        "--label",
        3,
        "--seed",
        5,
        "--out",
        tmp_path / "a",
    )
    assert run(*asked, "--count", 1, "--size", WIDE).exit_code == 0
    done = run(*asked, "--count", 2, "--resume", "--size", "12x24")
    assert done.exit_code == 2
    assert "size: got '12x24', expected '24x12'" in done.output
    assert run(*asked, "--count", 2, "--resume", "--size", WIDE).exit_code == 0


def test_shards_have_the_size(run, engine, tmp_path):
    merged = tmp_path / "all.npz"
    asked = ("bulk", engine.path, "--count", 3, "--shard-size", 2, "--label", 3, "--seed", 5)
    done = run(*asked, "--size", WIDE, "--out", tmp_path / "shards", "--merge", merged)
    assert done.exit_code == 0, done.output
    with np.load(merged) as arrays:
        assert_same(arrays["arr_0"], expected([3] * 3, [5, 6, 7]))


def test_a_server_mixes_sizes(engine):
    with BatchEngine(engine.path, max_batch=4, max_queue=8, threads=1) as server:
        sizes = [WIDE, None, "12x24", WIDE]
        jobs = [server.submit(1, 9, size=size) for size in sizes]
        images = [job.result(60).pixels for job in jobs]
    shapes = [SHAPE, (16, 16), (24, 12), SHAPE]
    for image, shape in zip(images, shapes, strict=True):
        assert_same(image[None], expected([1], [9], shape))


def test_a_server_has_a_longest_side(engine):
    with BatchEngine(engine.path, max_batch=2, max_queue=8, max_side=24, threads=1) as server:
        with pytest.raises(InputError, match=r"size: got '32x24', expected 16x16, or .* most 24$"):
            server.submit(1, 9, size="32x24")
        assert server.submit(1, 9, size="12x24").result(60).pixels.shape[:2] == (24, 12)
    with BatchEngine(engine.path, max_batch=2, max_queue=8, max_side=4, threads=1) as server:
        assert server.submit(1, 9).result(60).pixels.shape[:2] == (16, 16)


def test_every_api_takes_it(engine):
    pytest.importorskip("fastapi")
    from adagen_rt.serving.http import Fleet, create_app

    with (
        BatchEngine(engine.path, max_batch=2, max_queue=8, threads=1) as server,
        running(create_app(Fleet.of(server))) as port,
    ):
        body = {"prompt": "3", "size": WIDE, "seed": 5}
        answer = ask(port, "POST", "/v1/images/generations", body)
        assert (answer.status, answer.json()["size"]) == (200, WIDE)
        path = "/v2/models/tiny-sizes"
        body = {
            "inputs": [
                {"name": "label", "datatype": "INT64", "shape": [1], "data": [3]},
                {"name": "seed", "datatype": "INT64", "shape": [1], "data": [5]},
            ],
            "parameters": {"size": WIDE},
        }
        (image, *_) = ask(port, "POST", f"{path}/infer", body).json()["outputs"]
        assert image["shape"] == [1, *SHAPE, 3]
        pixels = np.array(image["data"], np.uint8).reshape(1, *SHAPE, 3)
        assert_same(pixels, expected([3], [5]))
        (image, *_) = ask(port, "GET", path).json()["outputs"]
        assert image["shape"] == [-1, -1, -1, 3]
        for size in ("16x20", "24x24"):  # 1.25 and 2.25 times the engine's own
            body = {"prompt": "3", "size": size, "n": 1}
            answer = ask(port, "POST", "/v1/images/generations", body)
            assert answer.status == 200
        answer = ask(port, "POST", "/v1/images/generations", {"prompt": "3", "size": "40x40"})
        assert answer.status == 400
        assert "multiples of 4, at most 32" in answer.json()["error"]["message"]
        (model,) = ask(port, "GET", "/v1/models").json()["data"]
        assert model["sizes"] == {"multiple": 4, "largest": 32}


def test_larger_images_cost_more(engine):
    manifest = engine.manifest
    for size, cost in ((None, 1), ("8x8", 1), ("16x16", 1), ("16x20", 2), ("32x32", 4)):
        assert SamplingParams(size=size).area_cost(manifest) == cost


def test_one_model_has_one_of_the_sizes(engine, tmp_path):
    pytest.importorskip("onnx_ir", reason="needs the extra bundle")
    from adagen_rt.onegraph import write_bundle

    for size, shape in ((WIDE, SHAPE), (None, (16, 16))):
        path = tmp_path / f"{size}.onnx"
        assert write_bundle(engine, path, SamplingParams(size=size)).checked["largest"] <= 1
        with adagen_rt.load(path, threads=1) as model:
            assert_same(model.generate(LABELS, SEEDS).images, expected(shape=shape))
            with pytest.raises(InputError, match=r"^size: got '32x32', expected"):
                model.generate([1], size="32x32")


def test_a_device_program_has_the_own_size(engine):
    from program.host import HostGraphs

    from adagen_rt.cuda.host import HostDriver
    from adagen_rt.program import Runner, build_program
    from adagen_rt.program.setting import Setting

    driver = HostDriver()
    setting = Setting(engine.manifest, HostGraphs(engine, driver), driver, 1, 3, 3, ())
    outcome = Runner(build_program(setting), driver, 1).run(
        {"labels": np.array(LABELS)}, np.array(SEEDS)
    )
    assert_same(outcome.images, expected(shape=(16, 16)))


def test_plans_are_built_for_the_own_size(engine):
    from adagen_rt.backends.tensorrt.profiles import graph_profiles

    (profile,) = graph_profiles(engine.manifest, "backbone", [2])
    assert profile["x"] == (4, CHANNELS, SIDE, SIDE)


def test_openvino_takes_sizes_in_turn(engine):
    pytest.importorskip("openvino")
    with adagen_rt.load(engine.path, backend="openvino", threads=1) as pipeline:
        for shape in (SHAPE, (16, 16), (24, 12)):
            size = Extent(*shape).words
            assert_same(pipeline.generate(LABELS, SEEDS, size=size).images, expected(shape=shape))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sizes": SizesSpec(multiple=3, largest=32)}, "that the image's 16 fits"),
        ({"sizes": SizesSpec(multiple=4, largest=12)}, "that the image's 16 x 16 fits"),
    ],
)
def test_a_manifest_contradicts_itself(tmp_path, changes, said):
    folder = build_sizes_engine(tmp_path / "bad", **changes)
    with pytest.raises(EngineError, match="sizes: got sides that are multiples of"):
        open_engine(folder)


def test_sizes_need_open_graphs(tiny_engine):
    content = json.loads((tiny_engine / "manifest.json").read_text())
    content["sizes"] = {"multiple": 4, "largest": 8}
    with pytest.raises(ValueError, match=r"sizes: .* expected none of the family maskgit"):
        Manifest.model_validate(content)


def test_the_manifest_is_as_it_was_where_there_is_one_size(tiny_engine, engine):
    content = json.loads((tiny_engine / "manifest.json").read_text())
    assert "sizes" not in content
    content = json.loads((engine.path / "manifest.json").read_text())
    assert content["sizes"] == {"multiple": 4, "largest": 32}
    assert Manifest.model_validate(content) == engine.manifest
