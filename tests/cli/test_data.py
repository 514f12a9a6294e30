import json

import numpy as np
import pytest
from emoji_packages import write_packages
from PIL import Image

from adagen_rt import npm
from adagen_rt.data.emoji.packages import CAPTIONS, PACKAGES
from adagen_rt.data.emoji.split import PARTS


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    return write_packages(tmp_path_factory.mktemp("packages"))


def lines(folder, part):
    text = (folder / part / "metadata.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_the_set_has_a_picture_and_a_line_each(packages, run, tmp_path):
    pytest.importorskip("resvg_py")
    out = tmp_path / "set"
    done = run("data", "emoji", "--packages", packages, "--size", 16, "--out", out, "--json")
    assert done.exit_code == 0, done.stderr
    counts = json.loads(done.stdout)["pictures"]
    assert sum(counts.values()) == 8
    for part in PARTS:
        assert len(lines(out, part)) == counts[part]
        for entry in lines(out, part):
            pixels = np.array(Image.open(out / part / entry["file_name"]))
            assert pixels.shape == (16, 16, 3)
            red, white = ([255, 0, 0], [255, 255, 255])
            sides = (red, white) if entry["label"] == "red half" else (white, red)
            assert (pixels[:, :8] == sides[0]).all()
            assert (pixels[:, 8:] == sides[1]).all()
            assert entry["licence"] == "MIT"
            assert entry["source"].rpartition("/")[0] in {f"{n}@{v}" for n, v in PACKAGES.items()}
    assert json.loads((out / "dataset.json").read_text())["pictures"] == counts


def test_nothing_is_overwritten_without_being_asked(packages, run, refuse, tmp_path):
    pytest.importorskip("resvg_py")
    make = ("data", "emoji", "--packages", packages, "--size", 8, "--out", tmp_path / "set")
    assert run(*make).exit_code == 0
    assert "--overwrite" in refuse(*make)
    assert run(*make, "--overwrite").exit_code == 0
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    line = refuse(*make[:-1], tmp_path / "mine", "--overwrite")
    assert "dataset.json" in line
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "mine"


def test_a_missing_package_says_what_to_type(tmp_path, monkeypatch, refuse):
    monkeypatch.setattr(npm.shutil, "which", lambda name: None)
    line = refuse("data", "emoji", "--packages", tmp_path / "p", "--out", tmp_path / "set")
    assert f"npm pack {CAPTIONS}@{PACKAGES[CAPTIONS]}" in line
    assert not (tmp_path / "set").exists()
