"""`generate` with an engine that takes prompts."""

import json

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("tokenizers")

LONG = "a red cat sits under the sky on a blue bird"


@pytest.fixture
def generate(run, prompt_engine):
    """Returns a function that generates and returns what --json prints."""

    def invoke(out, *arguments):
        asked = ("--engine", prompt_engine(), "--out", out, "--json", *arguments)
        done = run("generate", *asked)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    return invoke


def pixels(path):
    with np.load(path) as arrays:
        return arrays["images"]


def test_prompts_take_turns_and_files_have_a_line_each(generate, tmp_path):
    file = tmp_path / "prompts.txt"
    file.write_bytes("\ufeffa red cat\r\n\n  \na dog 猫".encode())
    told = generate(tmp_path / "a.npz", "--prompt", "", "--prompt-file", file, "--seed", 3)
    assert told["prompts"] == ["", "a red cat", "a dog 猫"]
    assert told["negative_prompts"] == ["", "", ""]
    assert told["seeds"] == [3, 4, 5]
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        assert arrays["prompts"].tolist() == told["prompts"]
    told = generate(tmp_path / "b.npz", "--prompt", "a cat", "--prompt", "a dog", "--count", 3)
    assert told["prompts"] == ["a cat", "a dog", "a cat"]


def test_the_standard_input_is_a_file(run, prompt_engine, tmp_path):
    from click.testing import CliRunner

    from adagen_rt.cli import main

    arguments = ["--engine", str(prompt_engine()), "--prompt-file", "-", "--json"]
    arguments += ["--out", str(tmp_path / "a.npz")]
    done = CliRunner().invoke(main, ["generate", *arguments], input="a cat\na dog\n")
    assert json.loads(done.stdout)["prompts"] == ["a cat", "a dog"]


def test_negative_prompts_are_one_for_all_or_for_each(generate, refuse, prompt_engine, tmp_path):
    two = ("--prompt", "a cat", "--prompt", "a dog", "--seed", 1)
    told = generate(tmp_path / "a.npz", *two, "--negative-prompt", "bird")
    assert told["negative_prompts"] == ["bird", "bird"]
    other = generate(
        tmp_path / "b.npz", *two, "--negative-prompt", "bird", "--negative-prompt", "sky"
    )
    assert other["negative_prompts"] == ["bird", "sky"]
    first, second = pixels(tmp_path / "a.npz"), pixels(tmp_path / "b.npz")
    np.testing.assert_array_equal(first[0], second[0])
    assert not np.array_equal(first[1], second[1])
    three = [text for word in "abc" for text in ("--negative-prompt", word)]
    line = refuse("generate", "--engine", prompt_engine(), *two, *three)
    assert "negative-prompt: got '3 texts', expected one for all or for each of 2" in line


def test_what_is_cut_is_told_or_refused(run, refuse, prompt_engine, tmp_path):
    asked = ("generate", "--engine", prompt_engine(), "--out", tmp_path / "a.npz")
    done = run(*asked, "--prompt", LONG)
    assert done.exit_code == 0
    assert "Warning: prompt: 'under the sky on a blue bird' does not fit the 6" in done.stderr
    assert "strict: got " in refuse(*asked, "--prompt", LONG, "--strict")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".npz"])
def test_a_file_makes_its_images_again(generate, run, prompt_engine, tmp_path, suffix):
    file, engine = tmp_path / f"a{suffix}", prompt_engine()
    asked = ("--prompt", 'a "red" cat\n猫', "--prompt", "", "--negative-prompt", "a dog")
    told = generate(file, *asked, "--best-of", 1)
    done = run(
        *("generate", "--repeat", file, "--engine", engine, "--out", tmp_path / "b.npz", "--json")
    )
    again = json.loads(done.stdout)
    same = ("prompts", "negative_prompts", "seeds")
    assert [again[name] for name in same] == [told[name] for name in same]
    generate(tmp_path / "c.npz", *asked, "--seed", told["seeds"][0])
    np.testing.assert_array_equal(pixels(tmp_path / "b.npz"), pixels(tmp_path / "c.npz"))


def test_printed_json_and_traces_make_images_again(generate, run, prompt_engine, tmp_path):
    trace = tmp_path / "trace.json"
    told = generate(tmp_path / "a.npz", "--prompt", "a cat", "--trace", trace)
    summary = tmp_path / "summary.json"
    summary.write_text(json.dumps(told))
    for file in (trace, summary):
        out = tmp_path / f"{file.stem}.npz"
        done = run("generate", "--repeat", file, "--engine", prompt_engine(), "--out", out)
        assert done.exit_code == 0, done.output
        np.testing.assert_array_equal(pixels(out), pixels(tmp_path / "a.npz"))


def test_a_folders_files_are_named_and_resumed(generate, refuse, prompt_engine, tmp_path):
    folder = tmp_path / "out"
    asked = ("--prompt", "../A Red/Cat\n", "--prompt", "猫", "--seed", 7)
    generate(folder, *asked)
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["0-a-red-cat-seed7.png", "1-seed8.png"]
    (folder / names[1]).unlink()
    told = generate(folder, *asked, "--resume")
    assert told["indices"] == [1]
    line = refuse(
        *("generate", "--engine", prompt_engine(), "--out", folder, "--resume"),
        *("--prompt", "a dog", "--prompt", "猫", "--seed", 7),
    )
    assert "prompt: got 'a dog'" in line


def test_sheets_have_captions(generate, tmp_path):
    prompt = "a red cat " * 200
    generate(tmp_path / "a.png", "--prompt", prompt, "--prompt", "", "--labels")
    plain = generate(tmp_path / "b.png", "--prompt", prompt, "--prompt", "")
    assert plain["prompts"][0] == prompt
    with Image.open(tmp_path / "a.png") as captioned, Image.open(tmp_path / "b.png") as without:
        assert captioned.height > without.height


def test_a_jpeg_has_room_for_its_prompts(refuse, prompt_engine, tmp_path):
    out = tmp_path / "a.jpg"
    asked = ("--engine", prompt_engine(), "--out", out, "--prompt", "a" * 9000, "--count", 9)
    assert "expected at most 30000 in one .jpg" in refuse("generate", *asked)
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--label", "1", "--prompt", "a cat"), "label: got '1', expected --prompt"),
        ((), "prompt: got None, expected --prompt or --prompt-file"),
        (("--prompt", "a" * 100_000), "prompt: got 'a text of 100000 bytes or more'"),
        (("--prompt", "a\x07cat"), "prompt: got 'U+0007 at character 2'"),
        (("--prompt", "cat\udcff"), "prompt: got 'U+DCFF at character 4'"),
        (("--prompt-file", "missing.txt"), "prompt-file: got 'missing.txt', expected a readable"),
        (("--prompt", "a", "--count", 0), "count: got 0"),
        (("--repeat", "missing.png", "--prompt", "a"), "repeat: got '--prompt as well'"),
        (("--repeat", "missing.png", "--strict"), "repeat: got '--strict as well'"),
    ],
)
def test_what_is_refused_is_said_in_a_line(refuse, prompt_engine, arguments, told):
    assert told in refuse("generate", "--engine", prompt_engine(), *arguments)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"a cat\na d\xffog", "got 'byte 0xff at place 9', expected text in UTF-8"),
        (b"\n \n", "expected a prompt a line"),
        (b"a cat\na\0dog\n", "prompt-file, line 2: got 'U+0000 at character 2'"),
    ],
)
def test_a_file_that_has_no_prompts(refuse, prompt_engine, tmp_path, content, told):
    file = tmp_path / "prompts.txt"
    file.write_bytes(content)
    assert told in refuse("generate", "--engine", prompt_engine(), "--prompt-file", file)


def test_negative_prompts_need_null_rows(refuse, prompt_engine):
    asked = ("--engine", prompt_engine("embedded"), "--prompt", "a", "--negative-prompt", "b")
    assert "negative_prompt: got 'b', expected none: guidance of this engine is embedded" in refuse(
        "generate", *asked
    )


@pytest.mark.parametrize("option", ["--prompt", "--prompt-file", "--negative-prompt"])
def test_an_engine_of_classes_takes_no_texts(refuse, tiny_engine, option):
    line = refuse("generate", "--engine", tiny_engine, option, "a cat")
    assert f"{option[2:]}: got 'a cat', expected --label: this engine takes classes" in line


def test_the_other_commands_choose_prompts_themselves(run, prompt_engine):
    shown = run("inspect", prompt_engine("embedded"))
    assert "6 tokens of short, 9 tokens of long; guided by a number" in shown.stdout
    inspected = json.loads(run("inspect", prompt_engine(), "--json").stdout)
    assert inspected["condition"]["kind"] == "prompt"
    measured = run("bench", prompt_engine(), "--batch", "2", "--repeats", "1", "--json")
    assert json.loads(measured.stdout)["results"][0]["batch"] == 2


def test_quantize_keeps_the_tokenizer(run, generate, prompt_engine, tmp_path):
    twin = tmp_path / "twin"
    assert run("quantize", prompt_engine(), "--out", twin).exit_code == 0
    done = run("generate", "--engine", twin, "--prompt", "a cat", "--out", tmp_path / "a.npz")
    assert done.exit_code == 0, done.output


def test_prompts_are_scored_on_captioned_pictures_alone(refuse, prompt_engine, tmp_path):
    pytest.importorskip("torch")
    line = refuse("evaluate", prompt_engine(), "--data", tmp_path, "--samples", 10)
    assert f"--data: got '{tmp_path}', expected a folder with metadata.jsonl" in line


def test_bulk_takes_prompts(run, refuse, prompt_engine, tmp_path):
    file = tmp_path / "prompts.txt"
    file.write_text("a red cat\na dog\n")
    for kind in ("npz", "tar", "folder"):
        done = run(
            "bulk", prompt_engine(), "--from", file, "--out", tmp_path / kind, "--format", kind
        )
        assert done.exit_code == 0, done.output
    with np.load(tmp_path / "npz" / "shard-00000.npz", allow_pickle=False) as arrays:
        assert arrays["prompts"].tolist() == ["a red cat", "a dog"]
    record = json.loads((tmp_path / "npz" / "bulk.json").read_text())
    assert "tokenizers" in record["versions"]  # they decide what an engine reads
    line = refuse("bulk", prompt_engine(), "--count", 3, "--out", tmp_path / "other")
    assert "from: got 'nothing', expected a file with a prompt a line" in line
    file.write_text("a red cat\na \x00 dog\n")
    line = refuse("bulk", prompt_engine(), "--from", file, "--out", tmp_path / "other")
    assert "prompts.txt, line 2: prompt: got 'U+0000 at character 3'" in line
