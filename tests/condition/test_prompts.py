import pickle

import numpy as np
import pytest

pytest.importorskip("tokenizers")

from tiny_prompts import LONG, SHORT, PromptOptions, make_tokenizer, prompts

from adagen_rt.condition import Asked, Conditioner, Prompt, Prompts, parse_condition
from adagen_rt.condition.checks import MAX_BYTES
from adagen_rt.errors import EngineError, InputError

BOS, EOS, PAD = 2, 3, 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    make_tokenizer().save(str(folder / "words.json"))
    return folder


@pytest.fixture
def spec(folder):
    return prompts().within(folder)


def test_every_prompt_has_the_same_number_of_tokens(spec):
    rows = spec.parse(["red cat", "", "a red cat sits under the sky on a bird"])
    assert rows["short_ids"].shape == (3, SHORT)
    assert rows["long_ids"].shape == rows["long_mask"].shape == (3, LONG)
    np.testing.assert_array_equal(rows["short_ids"][0], [BOS, 5, 8, EOS, EOS, EOS])
    np.testing.assert_array_equal(rows["long_ids"][0], [BOS, 5, 8, EOS, *[PAD] * 5])
    np.testing.assert_array_equal(rows["long_mask"].sum(axis=1), [4, 2, LONG])
    assert rows["long_ids"][2, -1] == EOS


def test_what_is_cut_is_named_once_and_by_its_encoder(spec):
    long = "a red cat sits under the sky on a bird"
    rows = spec.parse([long, "a cat", long])
    (note,) = spec.notes(rows)
    assert "'under the sky on a bird' does not fit the 6 tokens of short" in note
    assert "'on a bird' does not fit the 9 tokens of long" in note
    assert spec.describe(rows, 0)["cut"] == note
    assert "cut" not in spec.describe(rows, 1)


def test_a_template_is_not_named_as_cut(folder):
    short = prompts().encoders[0].model_copy(update={"prefix": "under ", "suffix": " sky"})
    spec = prompts().model_copy(update={"encoders": (short,)}).within(folder)
    rows = spec.parse(["a red cat", "a red cat sits on"])
    np.testing.assert_array_equal(rows["short_ids"][0], [BOS, 15, 4, 5, 8, EOS])
    assert spec.notes(rows) == ["prompt: 'sits on' does not fit the 6 tokens of short"]


def test_the_null_twin_is_the_negative_prompts(folder):
    spec = prompts(PromptOptions(negative="bird")).within(folder)
    rows = spec.parse([Prompt("cat"), Prompt("cat", "dog"), Prompt("cat", "")])
    null, words = spec.null(rows), spec.parse(["bird", "dog", ""])
    assert null.keys() == spec.tensors.keys()
    for name, values in null.items():
        np.testing.assert_array_equal(values, words[name])
    assert [spec.describe(rows, place)["negative_prompt"] for place in range(3)] == [
        *("bird", "dog", ""),
    ]


@pytest.mark.parametrize("guidance", ["embedded", "none"])
def test_without_null_rows_there_is_no_negative_prompt(folder, guidance):
    spec = prompts(PromptOptions(guidance)).within(folder)
    assert "negative_prompt" not in spec.parse(["cat"])
    with pytest.raises(InputError, match="negative_prompt: got 'dog', expected none: guidance"):
        spec.parse([Prompt("cat", "dog")])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "got None, expected a text"),
        (b"cat", "got b'cat', expected a text"),
        (7, "got 7, expected a text"),
        ("a" * 100_000, f"100000 bytes or more', expected at most {MAX_BYTES} bytes"),
        ("\N{CAT FACE}" * (MAX_BYTES // 2), f"{2 * MAX_BYTES} bytes or more"),
        ("red\0cat", r"U\+0000 at character 4"),
        ("\x1b[31m", r"U\+001B at character 1"),
        ("cat\udc80", r"U\+DC80 at character 4"),
    ],
)
@pytest.mark.parametrize("field", ["prompt", "negative_prompt"])
def test_texts_that_no_tokenizer_should_see(spec, text, told, field):
    if field == "negative_prompt" and text is None:
        pytest.skip("none is the engine's own")
    given = Prompt(text) if field == "prompt" else Prompt("cat", text)
    with pytest.raises(InputError, match=f"^{field}: .*{told}") as caught:
        spec.parse([given])
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_blanks_and_any_script_are_texts(spec):
    rows = spec.parse(["a\tred\ncat\r", "赤い猫 \N{CAT FACE}"])
    np.testing.assert_array_equal(rows["short_ids"][0, :5], [BOS, 4, 5, 8, EOS])


@pytest.mark.parametrize(
    ("negatives", "told"),
    [(["dog"], "got '1 texts', expected one for all or for each of 2"), (3, "a list with one")],
)
def test_negative_prompts_are_one_for_all_or_for_each(spec, negatives, told):
    asked = Asked(prompts=["cat", "dog"], negative_prompts="bird")
    assert spec.given(asked) == [Prompt("cat", "bird"), Prompt("dog", "bird")]
    asked = Asked(prompts=["cat", "dog"], negative_prompts=["bird", None])
    assert spec.given(asked) == [Prompt("cat", "bird"), Prompt("dog", None)]
    with pytest.raises(InputError, match=told):
        spec.given(Asked(prompts=["cat", "dog"], negative_prompts=negatives))


def test_arrays_are_lists_and_a_text_is_none(spec):
    asked = Asked(prompts=np.array(["cat", "dog"]), negative_prompts=np.array(["sky", "bird"]))
    assert spec.given(asked) == [Prompt("cat", "sky"), Prompt("dog", "bird")]
    assert spec.given(Asked(prompts="cat", negative_prompts="dog")) == "cat"


def test_a_copy_in_another_process_reads_the_files_again(spec):
    other = pickle.loads(pickle.dumps(spec))
    assert other == spec
    np.testing.assert_array_equal(
        other.parse(["a red cat"])["long_ids"], spec.parse(["a red cat"])["long_ids"]
    )


def test_labels_are_refused(spec):
    with pytest.raises(InputError, match=r"labels: got \[1\], expected prompts and no labels"):
        spec.given(Asked(labels=[1]))


def test_a_damaged_tokenizer_is_named(tmp_path):
    (tmp_path / "words.json").write_text("{}")
    with pytest.raises(EngineError, match=r"words\.json: not a tokenizer"):
        prompts().within(tmp_path).load()
    with pytest.raises(EngineError, match=r"words\.json: open the engine's folder"):
        prompts().load()


def test_a_template_leaves_room(folder):
    short = prompts().encoders[0].model_copy(update={"prefix": "a red cat sits "})
    spec = prompts().model_copy(update={"encoders": (short,)}).within(folder)
    with pytest.raises(EngineError, match="adds 6 tokens to a prompt, but its encoder reads only"):
        spec.load()


def test_a_lead_is_before_the_prompt_alone(folder):
    changes = {"lead": "a dog under ", "led": 3, "lower": True, "mask": True}
    short = prompts().encoders[0].model_copy(update=changes)
    spec = prompts().model_copy(update={"encoders": (short,)}).within(folder)
    spec.load()
    rows = spec.parse([Prompt("  RED ", "red"), Prompt("red cat sits", "red cat sits on")])
    np.testing.assert_array_equal(rows["short_ids"][0], [BOS, 4, 9, 15, 5, EOS])
    np.testing.assert_array_equal(rows["negative.short_ids"][0], [BOS, 5, EOS, 3, 3, 3])
    np.testing.assert_array_equal(rows["short_led"], [3, 3])
    np.testing.assert_array_equal(rows["negative.short_led"], [0, 0])
    np.testing.assert_array_equal(rows["negative.short_mask"][1], [1, 1, 1, 0, 0, 0])
    assert spec.notes(rows) == [
        "prompt: 'cat sits' does not fit the 6 tokens of short; "
        "negative_prompt: 'cat sits on' does not fit the 3 tokens of short"
    ]
    ahead = prompts().model_copy(update={"encoders": (short,)}).within(folder)
    ahead.read_ahead([{"prompt": "red", "negative_prompt": "red"}])
    assert ahead._tokenizers.encode.cache_info().currsize == 2
    ahead.parse([Prompt("red", "red")])
    assert ahead._tokenizers.encode.cache_info().misses == 2
    assert {name: row.shape for name, row in spec.tensors.items()} == {
        name: values.shape[1:] for name, values in spec.trial(2).items() if name in spec.tensors
    }


def test_the_same_ids_with_another_lead_are_encoded_anew(folder):
    seen = []

    def encode(inputs):
        seen.append(int(inputs["short_led"][0]))
        return {"pooled": inputs["short_led"][:, None] * 1.0}

    short = prompts().encoders[0].model_copy(update={"led": 2})
    spec = prompts().model_copy(update={"encoders": (short,)}).within(folder)
    rows = spec.inputs(spec.parse([Prompt("red", "red")]))
    np.testing.assert_array_equal(rows["short_ids"], rows["negative.short_ids"])
    np.testing.assert_array_equal(Conditioner(spec, encode)(rows).arrays["pooled"], [[2], [0]])
    assert seen == [2, 0]


def test_a_section_is_read_as_it_was_written(spec):
    assert parse_condition(spec.model_dump(mode="json")) == spec
    with pytest.raises(ValueError, match="short, short"):
        Prompts(encoders=(spec.encoders[0], spec.encoders[0]))


class Encoder:
    """Counts what it is asked, and gives a context and its sum in buffers that it reuses."""

    def __init__(self):
        self.seen = []
        self.buffer = np.empty((1, LONG))

    def __call__(self, inputs):
        assert all(len(values) == 1 for values in inputs.values())
        self.seen.append(inputs["long_ids"][0].tolist())
        self.buffer[...] = inputs["long_ids"] * 1.0
        return {"context": self.buffer, "pooled": self.buffer.sum(axis=1)}


def test_a_text_is_encoded_by_itself_and_once(spec):
    encoder = Encoder()
    conditioner = Conditioner(spec, encoder)
    rows = spec.inputs(spec.parse(["red cat", "blue dog", "red cat"]))
    assert conditioner.missing(rows) == 3
    condition = conditioner(rows)
    assert len(encoder.seen) == 3  # two prompts and the empty one
    assert conditioner.missing(rows) == 0
    np.testing.assert_array_equal(condition.arrays["context"][:3], rows["long_ids"])
    np.testing.assert_array_equal(condition.arrays["context"][3:], rows["negative.long_ids"])
    assert condition.copies == 2
    conditioner(rows)
    assert len(encoder.seen) == 3


def test_only_so_many_texts_are_remembered(spec):
    encoder = Encoder()
    conditioner = Conditioner(spec, encoder)
    conditioner._recent.most = 2
    for text in ("cat", "dog", "bird", "cat"):
        conditioner(spec.inputs(spec.parse([text])))
    assert len(encoder.seen) == 5  # the empty one, asked for every time, stays known


@pytest.mark.parametrize("guidance", ["embedded", "none"])
def test_without_null_rows_a_sample_has_one_row(folder, guidance):
    spec = prompts(PromptOptions(guidance)).within(folder)
    condition = Conditioner(spec, Encoder())(spec.inputs(spec.parse(["cat", "dog"])))
    assert (condition.copies, condition.guidance) == (1, guidance)
    other = Conditioner(spec, Encoder())(spec.inputs(spec.parse(["bird"])))
    joined = condition.join(other).take(np.array([2, 0]), 3)
    np.testing.assert_array_equal(joined.arrays["context"], spec.parse(["bird", "cat"])["long_ids"])
    cond, null = joined.split(joined.arrays["context"])
    assert cond is null
    assert joined.repeat({"x": np.arange(2)})["x"].tolist() == [0, 1]
