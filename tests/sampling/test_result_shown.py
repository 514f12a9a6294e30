"""What a result does for people: files, one line, notebooks, comparison, pickling."""

import io
import pickle
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from tiny_engine import CLASSES, SCHEDULE, SIDE, STEPS, Options, build_tiny_engine

import adagen_rt
from adagen_rt.cli import main
from adagen_rt.errors import InputError, SampleError
from adagen_rt.sampling.captions import LEAST_CELL, LEAST_WIDTH, LINE, with_heads
from adagen_rt.sampling.facts import read_facts


@pytest.fixture(scope="module")
def pipeline(tiny_engine):
    return adagen_rt.load(tiny_engine, threads=1)


@pytest.fixture(scope="module")
def result(pipeline):
    return pipeline.generate([0, 1, 2, 0, 1], [5, 6, 7, 8, 9])


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    folder = build_tiny_engine(tmp_path_factory.mktemp("broken") / "e", Options(nan_logits=1))
    return adagen_rt.load(folder, threads=1)


def test_class_names(result):
    assert result.class_names == [CLASSES[label] for label in (0, 1, 2, 0, 1)]


def test_a_grid(result, tmp_path):
    assert result.save(tmp_path / "a.png") == [tmp_path / "a.png"]
    pixels = np.asarray(Image.open(tmp_path / "a.png"))
    assert pixels.shape == (2 * SIDE, 3 * SIDE)
    np.testing.assert_array_equal(pixels[:SIDE, SIDE : 2 * SIDE], result.images[1, ..., 0])


def test_arrays(result, tmp_path):
    result.save(str(tmp_path / "a.npz"))
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["images"], result.images)
        np.testing.assert_array_equal(arrays["labels"], result.labels)
        np.testing.assert_array_equal(arrays["seeds"], result.seeds)


def test_a_folder(result, tmp_path):
    files = result.save(tmp_path / "new")
    assert [path.name for path in files][:2] == ["0-label0-seed5.png", "1-label1-seed6.png"]
    np.testing.assert_array_equal(np.asarray(Image.open(files[4])), result.images[4, ..., 0])


@pytest.mark.parametrize("name", ["a.gif", "a.PNG.txt", "missing/../a.tar"])
def test_other_names_are_refused(result, tmp_path, name):
    with pytest.raises(
        InputError, match=r"^path: got .*, expected a name ending \.png, .*or \.npz, or a folder"
    ):
        result.save(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_failed_samples_are_left_out(broken, tmp_path):
    result = broken.generate([0, 1, 2], [5, 6, 7])
    names = [path.name for path in result.save(tmp_path / "new")]
    assert names == ["0-label0-seed5.png", "2-label2-seed7.png"]
    with pytest.raises(SampleError):
        broken.generate([1], [6]).save(tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()


def test_its_repr_is_one_line(pipeline, result, broken):
    assert repr(result) == (
        "<Result: 5 images of 4 x 4: circle, seed 5; square, seed 6; t-bar, seed 7; "
        "circle, seed 8, and 1 more>"
    )
    one = repr(pipeline.generate([0], [5]))
    assert one == "<Result: 1 image of 4 x 4: circle, seed 5>"
    assert repr(broken.generate([1], [6])).endswith("seed 6; 1 failed>")
    assert len(repr(pipeline.generate([0] * 300, [1] * 300))) < 200


def test_equality(pipeline, result):
    again = pipeline.generate([0, 1, 2, 0, 1], [5, 6, 7, 8, 9])
    assert result == again
    assert result != pipeline.generate([0, 1, 2, 0, 1], [5, 6, 7, 8, 10])
    assert result != replace(result, rewards=np.zeros(5, np.float32))
    assert result != "a result"


def test_results_pickle(result, judged_pipeline):
    assert pickle.loads(pickle.dumps(result)) == result
    kept = judged_pipeline.generate([0], [1], best_of=2)
    assert pickle.loads(pickle.dumps(kept)) == kept


def test_a_notebook_shows_the_picture(result, pipeline):
    picture = Image.open(io.BytesIO(result._repr_png_()))
    assert picture.size == (3 * SIDE, 2 * SIDE)
    many = pipeline.generate([0] * 200, range(200))
    assert Image.open(io.BytesIO(many._repr_png_())).size == (8 * SIDE, 8 * SIDE)


def test_a_notebook_shows_what_was_chosen(result):
    page = result._repr_html_()
    assert page.count("<img") == 1
    assert "circle, seed 5" in page
    assert page.count("<tr>") == 1 + len(SCHEDULE.actions)
    assert page.count("<td>") == STEPS * len(SCHEDULE.actions)
    median = np.median(result.schedule["guidance_scale"][0])
    assert f"<td>{median:.3g}</td>" in page


def test_names_in_a_page_are_escaped(result):
    wild = result.condition.model_copy(update={"names": ("<script>", "&", '"')})
    assert "<script>" not in replace(result, condition=wild)._repr_html_()


FORMATS = ["a.png", "a.jpg", "A.WEBP", "a.npz", "many"]


@pytest.mark.parametrize("name", FORMATS)
def test_files_are_those_of_generate(result, tiny_engine, tmp_path, name):
    """The same formats, pixels and facts, however the images were asked for."""
    ours, theirs = result.save(tmp_path / "ours" / name), tmp_path / "theirs" / name
    labels = [option for label in (0, 1, 2) for option in ("--label", str(label))]
    arguments = ["generate", "--engine", str(tiny_engine), *labels, "--count", "5", "--seed", "5"]
    done = CliRunner().invoke(main, [*arguments, "--out", str(theirs)])
    assert done.exit_code == 0, done.output
    files = sorted(theirs.iterdir()) if name == "many" else [theirs]
    assert [path.name for path in ours] == [path.name for path in files]
    for one, other in zip(ours, files, strict=True):
        assert read_facts(one) == read_facts(other) is not None
        if name != "a.npz":
            np.testing.assert_array_equal(
                np.asarray(Image.open(one)), np.asarray(Image.open(other))
            )


def test_a_saved_result_is_made_again(judged_engine, judged_pipeline, tmp_path):
    options = {"steps": 5, "refine": 2, "best_of": 3, "fidelity": [0.25, 0.5]}
    result = judged_pipeline.generate([0, 1], **options)
    result.save(tmp_path / "a.png")
    out = tmp_path / "b.npz"
    again = ("generate", "--engine", judged_engine, "--repeat", tmp_path / "a.png", "--out", out)
    done = CliRunner().invoke(main, list(map(str, again)))
    assert done.exit_code == 0, done.output
    with np.load(out) as arrays:
        np.testing.assert_array_equal(arrays["images"], result.images)


def test_pictures_of_a_folder_in_another_format(result, tmp_path):
    files = result.save(tmp_path / "new", format="webp")
    assert files[0].name == "0-label0-seed5.webp"
    with Image.open(files[0]) as picture:
        assert picture.format == "WEBP"


@pytest.mark.parametrize(("name", "kind"), [("new", "gif"), ("a.png", "jpg")])
def test_a_format_that_cannot_be(result, tmp_path, name, kind):
    with pytest.raises(InputError, match=rf"^format: got '{kind}'"):
        result.save(tmp_path / name, format=kind)
    assert not list(tmp_path.iterdir())


def test_captions(result, tmp_path):
    result.save(tmp_path / "a.png", captions=True)
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size == (3 * LEAST_WIDTH, 2 * (LEAST_WIDTH + 2 * LINE))


def test_words_around_a_grid(result):
    """They are on white, above and left of the very images, cut where they would not fit."""
    plain = with_heads(result.images[:4], ["circle", "square"])
    sheet = with_heads(result.images[:4], ["a name that is long", "b"], ["one", "two"], "title")
    side = LEAST_CELL
    assert plain.shape == (LINE + 2 * side, 2 * side, 1)
    top, left = 2 * LINE, sheet.shape[1] - 2 * side
    np.testing.assert_array_equal(sheet[top:, left:], plain[LINE:])
    for part in (sheet[:LINE], sheet[top:, :left]):
        assert part.min() < 128
    assert (sheet[LINE:top, left + side - 2 : left + side] == 255).all()
