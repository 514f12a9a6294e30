"""A file has the format that its name says, and nobody's work is written over."""

import io

import numpy as np
import pytest
from PIL import Image
from tiny_engine import SIDE, STEPS

from adagen_rt.sampling.captions import LEAST_WIDTH, LINE

PICTURE = {"png": "PNG", "jpg": "JPEG", "jpeg": "JPEG", "webp": "WEBP", "gif": "GIF"}
PLOT = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}


@pytest.fixture
def generate(run, tiny_engine, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments):
        done = run("generate", "--engine", tiny_engine, "--seed", 3, "--count", 5, *arguments)
        assert done.exit_code == 0, done.output
        return done

    return invoke


@pytest.fixture
def refuse_generate(refuse, tiny_engine, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments):
        before = sorted(tmp_path.rglob("*"))
        line = refuse("generate", "--engine", tiny_engine, *arguments)
        assert sorted(tmp_path.rglob("*")) == before
        return line

    return invoke


@pytest.mark.parametrize("suffix", ["png", "jpg", "jpeg", "webp", "PNG"])
def test_a_grid(generate, suffix):
    generate("--out", f"a.{suffix}")
    with Image.open(f"a.{suffix}") as picture:
        assert picture.format == PICTURE[suffix.lower()]
        assert picture.size == (3 * SIDE, 2 * SIDE)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_a_folder(generate, suffix, tmp_path):
    generate("--out", "out", "--format", suffix)
    for path in (tmp_path / "out").iterdir():
        assert path.suffix == f".{suffix}"
        with Image.open(path) as picture:
            assert picture.format == PICTURE[suffix]


@pytest.mark.parametrize("suffix", ["gif", "webp"])
def test_a_preview_that_moves(generate, suffix):
    generate("--preview", f"p.{suffix}")
    with Image.open(f"p.{suffix}") as picture:
        assert picture.format == PICTURE[suffix]
        assert picture.n_frames == STEPS


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_plots(generate, run, tiny_engine, suffix, tmp_path):
    pytest.importorskip("matplotlib", reason="needs the extra plot")
    generate("--plot", f"s.{suffix}")
    run("bench", tiny_engine, "--batch", "1,2", "--repeats", 2, "--plot", f"b.{suffix}")
    for name in ("s", "b"):
        assert (tmp_path / f"{name}.{suffix}").read_bytes().startswith(PLOT[suffix])


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--out", "a.gif"), "out: got 'a.gif', expected a name ending .png, .jpg"),
        (("--out", ".png"), "out: got '.png', expected a name before .png"),
        (("--out", ""), "out: got '', expected the name of a file or folder"),
        (("--trace", ""), "trace: got ''"),
        (("--preview", "p.jpg"), "preview: got 'p.jpg', expected a name ending .png, .gif or .w"),
        (("--preview", "p"), "preview: got 'p'"),
        (("--plot", "s.docx"), "plot: got 's.docx', expected a name ending .png, .svg or .pdf"),
        (("--format", "webp"), "format: got 'webp', expected a folder to write to"),
        (("--out", "a.jpg", "--count", 201), "out: got '201 images', expected at most 200"),
    ],
)
def test_the_rest_is_refused(refuse_generate, arguments, named):
    assert named in refuse_generate(*arguments)


def test_bench_refuses_too(refuse, tiny_engine, tmp_path):
    assert "plot: got" in refuse("bench", tiny_engine, "--plot", tmp_path / "x.docx")
    assert "plot: got ''" in refuse("bench", tiny_engine, "--plot", "")


def test_a_folder_with_pictures_is_not_mixed_with_others(generate, refuse_generate, tmp_path):
    generate("--out", "out")
    assert "--resume or --overwrite, for it has 5 pictures" in refuse_generate("--out", "out")
    generate("--out", "out", "--overwrite")
    assert len(list((tmp_path / "out").iterdir())) == 5


@pytest.mark.parametrize("option", ["--out", "--preview", "--trace"])
def test_a_file_of_others_is_kept(generate, refuse_generate, tmp_path, option):
    content = io.BytesIO()
    Image.new("L", (4, 4)).save(content, format="png")
    path = tmp_path / "mine.png"
    path.write_bytes(content.getvalue())
    assert "adagen-rt did not write that file" in refuse_generate(option, path.name)
    assert path.read_bytes() == content.getvalue()
    generate(option, path.name, "--overwrite")
    generate(option, path.name)  # now it is ours
    assert path.read_bytes() != content.getvalue()


def test_an_empty_file_of_others_is_kept(refuse_generate, tmp_path):
    (tmp_path / "a.npz").touch()
    assert "out: got" in refuse_generate("--out", "a.npz")


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.npz", "t.json", "s.svg", "s.pdf", "p.gif"])
def test_what_is_ours_is_replaced(generate, name):
    option = {"t": "--trace", "s": "--plot", "p": "--preview"}.get(name[0], "--out")
    if option == "--plot":
        pytest.importorskip("matplotlib", reason="needs the extra plot")
    for _ in range(2):
        generate(option, name)


def test_labels_stand_under_the_images(generate):
    generate("--out", "a.png", "--labels", "--preview", "p.png")
    with Image.open("a.png") as picture:
        assert picture.size == (3 * LEAST_WIDTH, 2 * (LEAST_WIDTH + 2 * LINE))
        words = np.asarray(picture)[LEAST_WIDTH : LEAST_WIDTH + 2 * LINE]
    assert words.min() < 100
    with Image.open("p.png") as picture:
        assert picture.size == (STEPS * LEAST_WIDTH, 5 * (LEAST_WIDTH + 2 * LINE))
