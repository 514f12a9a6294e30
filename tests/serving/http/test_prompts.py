"""Prompts over HTTP: every API, and what none of them takes."""

import base64
import io
import json
import struct

import numpy as np
import pytest
from http_server import ask, events, running
from PIL import Image

pytest.importorskip("fastapi")
pytest.importorskip("tokenizers")

from adagen_rt import load
from adagen_rt.condition.checks import MAX_BYTES

LONG = "a red cat sits under the sky on a blue bird"


@pytest.fixture(scope="module")
def pipeline(prompt_engine):
    return load(prompt_engine(), threads=1)


@pytest.fixture(scope="module")
def service(pipeline, tiny_engine):
    """Returns a function that asks a server of an engine of prompts and one of classes."""
    from adagen_rt.serving import BatchEngine
    from adagen_rt.serving.http import Fleet, create_app

    with (
        BatchEngine(pipeline) as engine,
        BatchEngine(tiny_engine, threads=1) as other,
        running(create_app(Fleet.of(engine, other))) as port,
    ):
        yield lambda *arguments, **options: ask(port, *arguments, **options)


def pixels(data):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


def strings(*texts):
    encoded = [text if isinstance(text, bytes) else text.encode() for text in texts]
    return b"".join(struct.pack("<I", len(text)) + text for text in encoded)


def infer(service, *inputs, binary=b"", model="tiny-prompts", **more):
    head = json.dumps({"inputs": list(inputs), **more}).encode()
    headers = [("Inference-Header-Content-Length", str(len(head)))] if binary else []
    kind = "application/octet-stream" if binary else "application/json"
    path = f"/v2/models/{model}/infer"
    return service("POST", path, head + binary, [*headers, ("Content-Type", kind)])


def texts(name, *values):
    return {"name": name, "shape": [len(values)], "datatype": "BYTES", "data": list(values)}


@pytest.mark.filterwarnings("ignore::adagen_rt.PromptWarning")
def test_openais_prompt_is_a_prompt(service, pipeline):
    body = {"model": "tiny-prompts", "prompt": LONG, "negative_prompt": "a dog", "n": 2, "seed": 3}
    answer = service("POST", "/v1/images/generations", body)
    assert answer.status == 200, answer.body
    data = answer.json()["data"]
    expected = pipeline.generate(prompts=[LONG] * 2, seeds=[3, 4], negative_prompts="a dog")
    np.testing.assert_array_equal([pixels(one["b64_json"]) for one in data], expected.images)
    assert data[0]["prompt"] == LONG
    assert data[0]["negative_prompt"] == "a dog"
    assert "'under the sky on a blue bird' does not fit the 6 tokens" in data[0]["cut"]
    refused = service("POST", "/v1/images/generations", {**body, "strict": True})
    assert (refused.status, refused.json()["error"]["param"]) == (400, "strict")


@pytest.mark.parametrize("path", ["infer", "generate", "generate_stream"])
def test_kserve_tells_what_was_cut(service, path):
    url = f"/v2/models/tiny-prompts/{path}"
    asked = {"inputs": [texts("prompt", LONG)]} if path == "infer" else {"prompt": LONG}
    answer = service("POST", url, asked)
    assert answer.status == 200, answer.body
    last = answer.body.decode().strip().split("\n\n")[-1].removeprefix("data: ")
    cut = json.loads(last)["parameters"]["cut"]
    assert "'under the sky on a blue bird' does not fit the 6 tokens" in cut
    strict = {**asked, "parameters": {"strict": True}}
    assert service("POST", url, strict).status == 400


def test_events(service, pipeline):
    body = {"model": "tiny-prompts", "prompt": "a cat", "negative_prompt": "sky", "seed": 5}
    first, *_, last = events(service("POST", "/events", body).body.decode())
    assert (first[1]["prompt"], first[1]["negative_prompt"]) == ("a cat", "sky")
    expected = pipeline.generate(prompts=["a cat"], seeds=[5], negative_prompts="sky")
    np.testing.assert_array_equal(pixels(last[1]["image"]), expected.images[0])


def test_tensors(service, pipeline):
    seeds = {"name": "seed", "shape": [2], "datatype": "INT64", "data": [1, 2]}
    asked = (texts("prompt", "a cat", "猫"), texts("negative_prompt", "", "sky"), seeds)
    answer = infer(service, *asked)
    assert answer.status == 200, answer.body
    outputs = {one["name"]: one for one in answer.json()["outputs"]}
    assert list(outputs) == ["image", "seed"]
    expected = pipeline.generate(
        prompts=["a cat", "猫"], seeds=[1, 2], negative_prompts=["", "sky"]
    ).images
    np.testing.assert_array_equal(np.reshape(outputs["image"]["data"], expected.shape), expected)
    binary = strings("a cat", "猫")
    prompt = {"name": "prompt", "shape": [2, 1], "datatype": "BYTES"}
    prompt["parameters"] = {"binary_data_size": len(binary)}
    again = infer(service, prompt, seeds, binary=binary, parameters={"negative_prompt": "sky"})
    assert again.status == 200, again.body
    image = np.reshape(again.json()["outputs"][0]["data"], expected.shape)
    np.testing.assert_array_equal(image[1], expected[1])


def test_what_engines_take_is_described(service):
    metadata = service("GET", "/v2/models/tiny-prompts").json()
    assert [(one["name"], one["datatype"]) for one in metadata["inputs"]] == [
        *(("prompt", "BYTES"), ("negative_prompt", "BYTES"), ("seed", "INT64")),
    ]
    assert "label" not in [one["name"] for one in metadata["outputs"]]
    model = service("GET", "/v1/models/tiny-prompts").json()
    assert (model["condition"]["kind"], model["condition"]["guidance"]) == (
        *("prompt", "classifier-free"),
    )


@pytest.mark.parametrize(
    ("prompt", "told"),
    [
        (
            "a" * 100_000,
            f"prompt: got 'a text of 100000 bytes or more', expected at most {MAX_BYTES}",
        ),
        ("a\0", "prompt: got 'U+0000 at character 2'"),
        ("\x1b[0m", "prompt: got 'U+001B at character 1'"),
        (None, "prompt"),
        (3, "prompt: got 3, expected a text"),
    ],
)
def test_texts_that_are_refused(service, prompt, told):
    body = {"model": "tiny-prompts", "prompt": prompt}
    for path in ("/v1/images/generations", "/events"):
        answer = service("POST", path, body)
        assert answer.status == 400, answer.body
        message = answer.json()["error"]["message"]
        assert message.startswith(told) or path == "/events"
        assert message.startswith("prompt")
        assert len(message) < 300


def test_half_a_surrogate_in_json(service):
    body = b'{"model": "tiny-prompts", "prompt": "cat \\ud83d"}'
    answer = service("POST", "/v1/images/generations", body, [("Content-Type", "application/json")])
    assert answer.status == 400
    assert "\n" not in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("binary", "told"),
    [
        (strings(b"a \xff cat"), "inputs.prompt: got b'a \\xff cat', expected UTF-8"),
        (strings("a" * 100_000), "inputs.prompt: got 'a text of 100000 bytes or more'"),
        (strings("a\0"), "inputs.prompt: got 'U+0000 at character 2'"),
        (strings("a")[:-1], "inputs.prompt: got 'data that is cut short'"),
    ],
)
def test_tensors_that_are_refused(service, binary, told):
    prompt = {"name": "prompt", "shape": [1], "datatype": "BYTES"}
    prompt["parameters"] = {"binary_data_size": len(binary)}
    answer = infer(service, prompt, binary=binary)
    assert answer.status == 400
    assert answer.json()["error"].startswith(told)


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ([texts("label", "a")], "inputs: got 'label', expected prompt, and perhaps negative_"),
        ([texts("negative_prompt", "a")], "inputs: got 'negative_prompt', expected prompt"),
        (
            [texts("prompt", "a", "b"), texts("negative_prompt", "a")],
            "inputs.negative_prompt: got '1 values', expected 2, as of prompt",
        ),
    ],
)
def test_inputs_that_do_not_fit(service, inputs, told):
    assert infer(service, *inputs).json()["error"].startswith(told)


def test_a_negative_prompt_is_named_as_it_was_given(service):
    prompt, strange = texts("prompt", "a"), {"negative_prompt": "\0"}
    as_input = infer(service, prompt, texts("negative_prompt", "\0")).json()["error"]
    assert as_input.startswith("inputs.negative_prompt: got 'U+0000 at character 1'")
    as_parameter = infer(service, prompt, parameters=strange).json()["error"]
    assert as_parameter.startswith("negative_prompt: got 'U+0000 at character 1'")
    both = infer(service, prompt, texts("negative_prompt", "b"), parameters=strange)
    assert both.status == 400
    assert both.json()["error"].startswith("negative_prompt: got 'an input and a parameter'")


@pytest.mark.parametrize("field", ["prompt", "negative_prompt"])
@pytest.mark.parametrize("value", [None, 5, 1.5, {"a": 1}, ["a", 5]])
def test_fields_that_are_no_texts(service, field, value):
    count = len(value) if isinstance(value, list) else 1
    body = {"prompt": ["a"] * count, field: value}
    answer = service("POST", "/v2/models/tiny-prompts/generate", body)
    assert answer.status == 400
    wrong = value[1] if isinstance(value, list) else value
    told = f"inputs.{field}: got {wrong}, expected texts"
    assert answer.json()["error"].startswith(told)


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        ("/events", {"model": "tiny", "prompt": "a"}, "prompt: got 'a', expected labels and no"),
        (
            "/events",
            {"model": "tiny", "label": 0, "negative_prompt": "a"},
            "negative_prompt: got 'a', expected labels and no prompts",
        ),
        ("/events", {"model": "tiny-prompts", "label": 0}, "label: got 0, expected prompts and"),
        (
            "/v1/images/generations",
            {"model": "tiny", "prompt": "a red cat"},
            "prompt: got 'a red cat', expected 0 to 2 or a name",
        ),
    ],
)
def test_the_wrong_kind_of_engine(service, path, body, told):
    answer = service("POST", path, body)
    assert answer.status == 400
    assert answer.json()["error"]["message"].startswith(told)


def test_usage_counts_the_tokens_of_prompts(service, pipeline):
    body = {"model": "tiny-prompts", "prompt": "a cat", "n": 2}
    done = service("POST", "/v1/images/generations", body).json()
    asked = {"prompt": "a cat", "negative_prompt": done["data"][0]["negative_prompt"]}
    one = pipeline.manifest.condition.count_tokens(asked)
    assert done["usage"]["input_tokens"] == 2 * one > 4
    assert "revised_prompt" not in done["data"][0]
