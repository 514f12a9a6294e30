"""A whole generation of prompts in one model: token ids go in, and the file has the tokenizer."""

import json

import numpy as np
import onnx
import pytest

pytest.importorskip("tokenizers")

from tiny_prompts import LONG, SHORT

import adagen_rt
from adagen_rt.engine.folder import open_engine
from adagen_rt.errors import EngineError, InputError
from adagen_rt.onegraph.targets import write_triton
from adagen_rt.onegraph.web import write_web
from adagen_rt.onegraph.write import write_bundle
from adagen_rt.sampling.params import SamplingParams

PROMPTS, SEEDS = ["a red cat", "", "a blue dog sits", "a bird"], [1, 2, 3, 4]
NAMES = ["short_ids", "long_ids", "long_mask"]


@pytest.fixture(params=["classifier-free", "embedded", "none"])
def pair(request, prompt_engine, tmp_path):
    """A model with best-of, and the pipeline of the engine that it was written from."""
    engine, out = open_engine(prompt_engine(request.param, True)), tmp_path / "one.onnx"
    write_bundle(engine, out, SamplingParams(best_of=2), fidelity_input=True)
    with adagen_rt.load(out, threads=1) as model, adagen_rt.load(engine.path, threads=1) as runtime:
        yield model, runtime


def test_images_are_the_runtimes(pair):
    paired = pair[0].manifest.condition.copies == 2
    more = {"negative_prompts": ["a dog", "", "a cat", "the sky"]} if paired else {}
    got, expected = (
        one.generate(prompts=PROMPTS, seeds=SEEDS, best_of=2, fidelity=[0, 0.2, 0.5, 1], **more)
        for one in pair
    )
    assert np.abs(got.images.astype(int) - expected.images.astype(int)).max() <= 1
    np.testing.assert_array_equal(got.rows["prompt"], PROMPTS)
    np.testing.assert_array_equal(got.seeds, expected.seeds)
    for name, values in expected.schedule.items():
        np.testing.assert_allclose(got.schedule[name], values, rtol=1e-4, atol=1e-5)
    assert (got.images[0] != got.images[1]).any()


def test_another_host_asks_with_token_ids(pair):
    model, _ = pair
    condition = model.manifest.condition
    names = NAMES + [f"negative.{name}" for name in NAMES if condition.copies == 2]
    session = onnx.load(model.engine.path)
    assert [value.name for value in session.graph.input] == [*names, "seeds", "fidelity"]
    rows = condition.inputs(condition.parse(PROMPTS))
    feeds = {**rows, "seeds": np.array(SEEDS), "fidelity": np.zeros(4, np.float32)}
    good = model.model.run(feeds)
    np.testing.assert_array_equal(good["failed"], 0)
    # No id that the tokenizer lacks is another word, and no mask is a weight.
    feeds = {name: values.copy() for name, values in feeds.items()}
    feeds["short_ids"][0, SHORT - 1] = 99
    feeds["long_ids"][1, 0] = -1
    feeds["long_mask"][3, LONG - 1] = 2
    bad = model.model.run(feeds)
    assert bad["failed"].tolist() == [-1, -1, 0, -1]
    np.testing.assert_array_equal(bad["images"][2], good["images"][2])
    assert not bad["images"][[0, 1, 3]].any()


def test_a_mask_that_was_left_blank_is_no_prompt(pair):
    """No text has one where a tokenizer adds tokens to each, and guidance would lead to nothing."""
    model, _ = pair
    condition = model.manifest.condition
    rows = condition.inputs(condition.parse(PROMPTS)) | {"seeds": np.array(SEEDS)}
    feeds = rows | {"fidelity": np.zeros(4, np.float32)}
    masks = [name for name in feeds if name.endswith("_mask")]
    for row, name in enumerate(masks):
        feeds[name] = feeds[name].copy()
        feeds[name][row] = 0
    assert model.model.run(feeds)["failed"].tolist() == [-1] * len(masks) + [0] * (4 - len(masks))


def test_the_file_has_its_tokenizer(prompt_engine, tmp_path):
    from tokenizers import Tokenizer

    engine, out = open_engine(prompt_engine()), tmp_path / "one.onnx"
    write_bundle(engine, out)
    texts = {prop.key: prop.value for prop in onnx.load(out).metadata_props}
    ids = Tokenizer.from_str(texts["adagen_rt/words.json"]).encode("a red cat").ids
    (short, _) = json.loads(texts["adagen_rt"])["manifest"]["condition"]["encoders"]
    assert [*ids, short["padding_id"]] == [2, 4, 5, 8, 3, 3]
    # Without it, the file is no engine.
    proto = onnx.load(out)
    (place,) = [i for i, prop in enumerate(proto.metadata_props) if prop.key.endswith("words.json")]
    del proto.metadata_props[place]
    onnx.save(proto, out)
    with pytest.raises(EngineError, match=r"words\.json: not a tokenizer"):
        adagen_rt.load(out)


def test_hosts_of_prompts(prompt_engine, tmp_path):
    engine = open_engine(prompt_engine())
    written = write_triton(engine, tmp_path, SamplingParams())
    assert [path.name for path in written] == ["model.onnx", "words.json", "config.pbtxt"]
    config = written[-1].read_text()
    assert f'name: "negative.long_mask" data_type: TYPE_INT64 dims: [ {LONG} ]' in config
    with pytest.raises(InputError, match="the page has no tokenizer"):
        write_web(engine, tmp_path / "page", SamplingParams(), runtime=tmp_path)
