"""The repository as Triton's schema reads it, and its models in this process."""

import importlib.util
import sys

import fake_triton
import numpy as np
import pytest
from fake_triton import Request, TritonError, arguments
from http_server import wait_until
from once import engine_once
from tiny_sizes import build_sizes_engine

from adagen_rt import load

text_format = pytest.importorskip("google.protobuf.text_format")
schema = pytest.importorskip("tritonclient.grpc.model_config_pb2")


@pytest.fixture
def model(run, tmp_path, monkeypatch):
    """Returns a function that writes an engine's models and starts the one of a name."""
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", fake_triton.make_module())
    for name in ("models", "tensors"):
        monkeypatch.delitem(sys.modules, f"adagen_rt.serving.triton.{name}", raising=False)
    started = []

    def start(engine, suffix="", **options):
        flags = [part for name, value in options.items() for part in (f"--{name}", value)]
        done = run("triton-repository", engine, "--out", tmp_path / "models", *flags)
        assert done.exit_code == 0, done.output
        (folder,) = (path for path in (tmp_path / "models").iterdir() if _batch(path) == suffix)
        spec = importlib.util.spec_from_file_location("model", folder / "1" / "model.py")
        code = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(code)
        made = code.TritonPythonModel()
        made.initialize(arguments(read(folder)))
        started.append(made)
        return made

    yield start
    for made in started:
        made.finalize()
    for name in ("models", "tensors"):  # they hold the stand-in
        sys.modules.pop(f"adagen_rt.serving.triton.{name}", None)


def _batch(folder):
    return "-batch" if folder.name.endswith("-batch") else ""


def read(folder):
    config = text_format.Parse((folder / "config.pbtxt").read_text(), schema.ModelConfig())
    assert config.name == folder.name
    return config


def streamed(model, **inputs):
    request = Request(**inputs)
    model.execute([request])
    assert request.sender.done.wait(30)
    return request.sender.responses


def test_configurations_are_those_of_the_schema(run, tiny_engine, tmp_path):
    options = "--max-batch", 4, "--max-queue", 5, "--threads", 1, "--instances", 2
    done = run("triton-repository", tiny_engine, "--out", tmp_path / "models", *options)
    assert done.exit_code == 0, done.output
    stream, batch = (read(folder) for folder in sorted((tmp_path / "models").iterdir()))
    assert stream.model_transaction_policy.decoupled
    assert not batch.model_transaction_policy.decoupled
    assert (stream.max_batch_size, batch.max_batch_size) == (0, 4)
    assert batch.HasField("dynamic_batching")
    manifest = load(tiny_engine, threads=1).manifest
    for config in stream, batch:
        required = [one.name for one in config.input if not one.optional]
        assert required == ["label"]
        assert {"seed", "steps", "schedule", "fidelity"} <= {one.name for one in config.input}
        given = {name: value.string_value for name, value in config.parameters.items()}
        expected = {"max_batch": "4", "max_queue": "5", "threads": "1"}
        assert given == expected | {"engine": str(tiny_engine)}
        assert config.instance_group[0].count == 2
        image = next(one for one in config.output if one.name == "image")
        assert list(image.dims) == [*manifest.image.size, manifest.image.channels]


def test_engines_with_prompts_take_prompts(run, prompt_engine, tmp_path):
    done = run("triton-repository", prompt_engine(), "--out", tmp_path / "models")
    assert done.exit_code == 0, done.output
    for folder in (tmp_path / "models").iterdir():
        inputs = {one.name: one.optional for one in read(folder).input}
        assert (inputs["prompt"], inputs["negative_prompt"]) == (False, True)
        assert "label" not in inputs


def test_stream_gives_previews_and_the_image_of_generate(model, tiny_engine):
    pipeline = load(tiny_engine, threads=1)
    steps = pipeline.manifest.schedule.steps
    answers = streamed(model(tiny_engine, threads=1), label="1", seed=7, preview_every=1)
    assert [one.arrays["step"].tolist() for one in answers] == [[i + 1] for i in range(steps)]
    expected = pipeline.generate([1], [7])
    np.testing.assert_array_equal(answers[-1].arrays["image"], expected.images[0])
    assert answers[-1].arrays["seed"].tolist() == [7]
    assert answers[-1].arrays["schedule"].shape[-1] == len(expected.schedule)


def test_batch_model_answers_each_request_of_many(model, tiny_engine):
    batch = model(tiny_engine, "-batch", threads=1)
    asked = [
        Request(True, label="1", seed=7),
        Request(True, label="99", seed=8),
        Request(True, label="0", seed=9, steps=2),
        Request(True, label="2", seed=10),
    ]
    left = Request(True, label="1", seed=1)
    left.sender.cancelled = True
    answers = batch.execute([*asked, left])
    pipeline = load(tiny_engine, threads=1)
    for place, label, seed, steps in ((0, 1, 7, None), (2, 0, 9, 2), (3, 2, 10, None)):
        expected = pipeline.generate([label], [seed], steps=steps)
        np.testing.assert_array_equal(answers[place].arrays["image"], expected.images)
        assert answers[place].arrays["seed"].tolist() == [[seed]]
    assert answers[1].error.code == TritonError.INVALID_ARG
    assert "label" in str(answers[1].error)
    assert answers[4].error.code == TritonError.CANCELLED


def test_prompts_reach_the_engine(model, prompt_engine):
    engine = prompt_engine()
    asked = {"prompt": "a red shoe", "negative_prompt": "blue"}
    (answer,) = streamed(model(engine, threads=1), seed=3, **asked)
    expected = load(engine, threads=1).generate(
        prompts=["a red shoe"], negative_prompts=["blue"], seeds=[3]
    )
    np.testing.assert_array_equal(answer.arrays["image"], expected.images[0])
    assert answer.arrays["cut"].tolist() == [""]


@pytest.mark.filterwarnings("ignore::adagen_rt.PromptWarning")
def test_what_of_a_prompt_was_cut_is_told_or_refused(model, prompt_engine):
    engine, long = prompt_engine(), "a red fox and a cat under the sky on a blue bird"
    stream, batch = model(engine, threads=1), model(engine, "-batch", threads=1)
    (told,) = streamed(stream, prompt=long, seed=3)
    assert "does not fit" in told.arrays["cut"][0]
    asked = [Request(True, prompt=text, seed=3) for text in ("a cat", long)]
    short, other = batch.execute(asked)
    assert short.arrays["cut"].tolist() == [[""]]
    assert other.arrays["cut"].tolist() == [told.arrays["cut"].tolist()]
    (refused,) = streamed(stream, prompt=long, strict=True)
    (also,) = batch.execute([Request(True, prompt=long, strict=True)])
    for one in refused, also:
        assert one.error.code == TritonError.INVALID_ARG
        assert "strict" in str(one.error)


def test_sizes_end_at_the_longest_side(model, tmp_path_factory):
    engine = engine_once(tmp_path_factory, "tiny-sizes", build_sizes_engine).path
    limited = {"threads": 1, "max-side": 24}
    stream, batch = model(engine, **limited), model(engine, "-batch", **limited)
    asked = [{"label": "1", "seed": 2, "size": size} for size in ("24x12", "28x12")]
    answers = [streamed(stream, **one)[-1] for one in asked]
    answers += batch.execute([Request(True, **one) for one in asked])
    expected = load(engine, threads=1).generate([1], [2], size="24x12").images
    for made, refused in (answers[:2], answers[2:]):
        np.testing.assert_array_equal(made.arrays["image"].reshape(expected.shape), expected)
        assert refused.error.code == TritonError.INVALID_ARG
        assert "size: got '28x12'" in str(refused.error)
        assert "at most 24" in str(refused.error)
    for wrong in (0, -1, 16385):
        with pytest.raises(AssertionError, match="max-side: got"):
            model(engine, **{"max-side": wrong})


@pytest.mark.parametrize(
    ("inputs", "field"),
    [
        ({"label": "99"}, "label"),
        ({"label": b"\xff"}, "label"),
        ({"label": "1", "seed": -1}, "seed"),
        ({"label": "1", "steps": 0}, "steps"),
        ({"label": "1", "schedule": "none"}, "schedule"),
        ({"label": "1", "preview_every": -1}, "preview_every"),
    ],
)
def test_refusals_are_one_last_answer(model, tiny_engine, inputs, field):
    (answer,) = streamed(model(tiny_engine, threads=1), **inputs)
    assert answer.error.code == TritonError.INVALID_ARG
    assert field in str(answer.error)


def test_client_that_leaves_frees_its_place(model, tiny_engine):
    stream = model(tiny_engine, threads=1)
    request = Request(label="1", seed=1, steps=1000, preview_every=1)
    stream.execute([request])
    wait_until(lambda: request.sender.responses)
    request.sender.cancelled = True
    assert request.sender.done.wait(30)
    assert request.sender.responses[-1].error.code == TritonError.CANCELLED


def test_nothing_else_is_overwritten(refuse, tiny_engine, tmp_path):
    other = tmp_path / "models" / load(tiny_engine, threads=1).manifest.name
    other.mkdir(parents=True)
    (other / "mine.txt").write_text("mine")
    assert "out:" in refuse("triton-repository", tiny_engine, "--out", tmp_path / "models")
    assert [path.name for path in other.parent.iterdir()] == [other.name]
    assert "engine:" in refuse(
        "triton-repository", tiny_engine, tiny_engine, "--out", tmp_path / "others"
    )
    assert not (tmp_path / "others").exists()
