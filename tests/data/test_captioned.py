"""Captioned pictures: lines of JSON, webdataset's shards, and what is refused."""

import io
import json
import tarfile

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from PIL import Image

from adagen_rt.data.captioned import load_captioned
from adagen_rt.errors import InputError
from adagen_rt.evaluation.kept import fingerprint_images
from adagen_rt.extent import Extent

SIZE = Extent.of(8)
SHADES = (0, 100, 200)


def picture(shade):
    content = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), shade, np.uint8)).save(content, "PNG")
    return content.getvalue()


def write_lines(part, lines):
    part.mkdir(parents=True, exist_ok=True)
    for number, shade in enumerate(SHADES):
        (part / f"{number}.png").write_bytes(picture(shade))
    (part / "metadata.jsonl").write_text("\n".join(lines))


def write_tar(path, files, mode="w"):
    with tarfile.open(path, mode) as tar:
        for name, content in files:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))


@pytest.mark.parametrize("part", ["", "train"])
@pytest.mark.parametrize("key", ["prompt", "text", "caption"])
def test_lines_of_json(tmp_path, part, key):
    lines = [json.dumps({"file_name": f"{i}.png", key: f"a {i}"}) for i in (2, 0)]
    write_lines(tmp_path / part, [*lines, ""])
    found = load_captioned(tmp_path, SIZE)
    assert found.captions == ("a 2", "a 0")
    pixels = found.pixels[torch.arange(2)]
    assert pixels.shape == (2, 3, 8, 8)
    assert pixels[:, 0, 0, 0].tolist() == [200, 0]


def test_shards(tmp_path):
    write_tar(
        tmp_path / "b.tar", [("c/3.png", picture(200)), ("c/3.json", b'{"caption": "three"}')]
    )
    files = [("1.txt", b"eins\n"), ("1.png", picture(100)), ("2.png", picture(0))]
    write_tar(tmp_path / "a.tar", files)
    found = load_captioned(tmp_path, SIZE, 1)
    assert found.captions == ("eins", "three")
    assert found.pixels[torch.tensor([1, 0])][:, 0, 0, 0].tolist() == [200, 100]
    assert len(fingerprint_images(found.pixels)) == 12


@pytest.mark.parametrize(
    "line",
    ["{", "[]", '{"file_name": "0.png"}', '{"prompt": "a"}', '{"file_name": 3, "text": "a"}'],
)
def test_a_faulty_line_is_named(tmp_path, line):
    write_lines(tmp_path, ['{"file_name": "0.png", "text": "a"}', line])
    with pytest.raises(InputError, match=r"metadata.jsonl, line 2: got"):
        load_captioned(tmp_path, SIZE)


def test_what_is_no_captioned_set_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"--data: got .*metadata.jsonl"):
        load_captioned(tmp_path, SIZE)
    write_tar(tmp_path / "a.tar", [("1.png", picture(0))])
    with pytest.raises(InputError, match=r"tars of pictures"):
        load_captioned(tmp_path, SIZE)
    write_tar(tmp_path / "a.tar", [("1.png", picture(0)), ("1.txt", b"\xff")])
    with pytest.raises(InputError, match=r"a.tar: got '1.txt'"):
        load_captioned(tmp_path, SIZE)
    write_tar(tmp_path / "a.tar", [("1.png", picture(0))], "w:gz")
    with pytest.raises(InputError, match=r"not compressed"):
        load_captioned(tmp_path, SIZE)
