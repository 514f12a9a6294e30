import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from PIL import Image

from adagen_rt.engine.sections import ImageSpec
from adagen_rt.errors import InputError
from adagen_rt.training.demo.examples import load_examples

COLOUR = ImageSpec(size=8, channels=3, pixel_range=(-1.0, 1.0))
COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]


def paint(path, colour, side=16):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (side, side), colour).save(path)


def test_a_captioned_set(tmp_path):
    lines = []
    for number, colour in enumerate(COLOURS):
        name = f"00{number % 2}/{number}.png"
        paint(tmp_path / "train" / name, colour)
        lines.append(json.dumps({"file_name": name, "prompt": "a colour"}))
    (tmp_path / "train" / "metadata.jsonl").write_text("\n".join(lines) + "\n")
    examples = load_examples(tmp_path, COLOUR, classes=1)
    assert examples.rows is None
    assert examples.pixels.dtype == torch.uint8
    assert examples.pixels.shape == (3, 3, 8, 8)
    assert examples.pixels[:, :, 4, 4].tolist() == [list(colour) for colour in COLOURS]


def test_a_folder_for_each_class(tmp_path):
    for number, colour in enumerate(COLOURS):
        paint(tmp_path / f"class{number}" / "a.png", colour)
    examples = load_examples(tmp_path, COLOUR, classes=3)
    assert examples.pixels[:, :, 0, 0].tolist() == [list(colour) for colour in COLOURS]
    assert examples.rows["labels"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"prompt": "no file"}'])
def test_bad_captions_are_named(tmp_path, text):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "metadata.jsonl").write_text(text)
    with pytest.raises(InputError, match=r"metadata\.jsonl"):
        load_examples(tmp_path, COLOUR, classes=1)


@pytest.mark.parametrize("side", [8, 32])
def test_an_empty_folder_says_what_was_expected(tmp_path, side):
    known = ImageSpec(size=side, channels=1, pixel_range=(-1.0, 1.0))
    with pytest.raises(InputError, match="--data"):
        load_examples(tmp_path, known, classes=2)


def test_known_images_may_be_ones_own(tmp_path):
    for number in range(2):
        paint(tmp_path / f"class{number}" / "a.png", (9, 9, 9), side=32)
    known = ImageSpec(size=32, channels=1, pixel_range=(-1.0, 1.0))
    pixels = load_examples(tmp_path, known, classes=2).pixels
    np.testing.assert_array_equal(pixels, np.full((2, 1, 32, 32), 9))
