"""Images that are not square, from the export to every way of running them."""

import json

import numpy as np
import pytest

pytest.importorskip("torch")

from click.testing import CliRunner
from once import engine_once
from PIL import Image
from program.host import program_of
from short_form import slow
from tiny_recipes import wide_recipe
from trainers_loop import assert_alike, trainers_images

import adagen_rt
from adagen_rt.cli import main
from adagen_rt.engine.manifest import Manifest
from adagen_rt.errors import InputError
from adagen_rt.export import export_engine
from adagen_rt.onegraph.write import write_bundle
from adagen_rt.sampling.params import SamplingParams
from adagen_rt.serving import BatchEngine
from adagen_rt.serving.http.describe import describe_engine

LABELS, SEEDS, SHAPE = [3, 0, 9], [5, 2**63 - 1, 7], (24, 40)
SIZES = {"dit": ("size", [6, 10]), "maskgit": ("grid", [6, 10]), "var": ("scales", [1, [1, 2]])}


@pytest.fixture(scope="module", params=["dit", "maskgit", *slow("var")])
def engine(request, tmp_path_factory):
    def export(out):
        export_engine(wide_recipe(request.param), out, seeded="tiny")

    return engine_once(tmp_path_factory, f"wide-{request.param}", export)


@pytest.fixture(scope="module")
def made(engine):
    with adagen_rt.load(engine.path, threads=1) as pipeline:
        yield pipeline.generate(LABELS, SEEDS)


def test_the_manifest_has_height_and_width(engine, made):
    content = json.loads((engine.path / "manifest.json").read_text())
    assert content["image"]["size"] == [24, 40]
    field, value = SIZES[content["family"]["family"]]
    assert content["family"][field][:2] == value
    assert Manifest.model_validate(content) == engine.manifest
    assert made.images.shape == (3, *SHAPE, 1)
    assert len({image.tobytes() for image in made.images}) == 3
    assert not made.failures


def test_a_program_makes_the_same_images(engine, made):
    assert_alike(*program_of(engine, LABELS, SEEDS), made)


def test_the_trainers_loop_makes_the_same_images(engine, made):
    recipe = wide_recipe(engine.manifest.family.family)
    assert_alike(*trainers_images(recipe, LABELS, SEEDS), made)


def test_a_server_makes_the_same_images(engine, made):
    with BatchEngine(engine.path, max_batch=2, max_queue=8, threads=1) as server:
        jobs = [server.submit(*pair) for pair in zip(LABELS, SEEDS, strict=True)]
        images = [job.result(60) for job in jobs]
    pixels = np.stack([image.pixels for image in images])
    names = images[0].schedule
    schedule = {n: np.stack([i.schedule[n] for i in images], axis=1) for n in names}
    assert_alike(pixels, schedule, made)


def test_one_file_makes_the_same_images(engine, made, tmp_path):
    path = tmp_path / "wide.onnx"
    write_bundle(engine, path)
    with adagen_rt.load(path, threads=1) as bundle:
        result = bundle.generate(LABELS, SEEDS)
    assert_alike(result.images, result.schedule, made)


def test_pictures_are_as_wide(engine, tmp_path):
    command = ["generate", "--engine", str(engine.path), "--label", "3", "--seed", "5", "--count"]
    for name, count, size in (("one.png", "1", (40, 24)), ("two.webp", "2", (80, 24))):
        out = tmp_path / name
        preview = tmp_path / f"steps-{name}"
        done = CliRunner().invoke(
            main, [*command, count, "--out", str(out), "--preview", str(preview)]
        )
        assert done.exit_code == 0, done.output
        with Image.open(out) as picture:
            assert picture.size == size
        with Image.open(preview) as picture:
            assert picture.size[1] % 24 == 0


def test_sizes_are_said_width_first(engine):
    for size in (None, "40x24", (40, 24)):
        assert SamplingParams(size=size).check(engine.manifest).size is None
    with pytest.raises(InputError, match="'24x40', expected 40x24, width by height"):
        SamplingParams(size="24x40").check(engine.manifest)
    content = describe_engine(engine.manifest)
    assert content["image"] == {"size": [24, 40], "channels": 1}
