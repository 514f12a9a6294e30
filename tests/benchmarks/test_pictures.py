"""The pictures of the README, by tiny engines."""

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from tiny_engine import CLASSES

import adagen_rt
from adagen_rt.sampling.params import SamplingParams


def test_all_of_them_are_drawn(tiny_engine, static_engine, tmp_path):
    pytest.importorskip("matplotlib", reason="needs the extra plot")
    import pictures

    engines = ("--demo", static_engine, "--chosen", tiny_engine)
    sheets = ("--engines", f"{tiny_engine},{static_engine}")
    arguments = ("--out", tmp_path / "new", *engines, *sheets, "--count", 2, "--samples", 3)
    done = CliRunner().invoke(pictures.main, list(map(str, arguments)))
    assert done.exit_code == 0, done.output
    other = static_engine.name
    names = {"tiny.png", "tiny-steps.png", "tiny-schedule.png", "four-engines.png"}
    names |= {f"{other}.png", f"{other}-steps.png"}
    assert {path.name for path in (tmp_path / "new").iterdir()} == names


def test_a_sheet_has_the_images_of_its_seeds(tiny_engine, monkeypatch):
    import sheets

    heads = []
    monkeypatch.setattr(sheets, "with_heads", lambda *told: heads.append(told))
    pipeline = adagen_rt.load(tiny_engine, threads=1)
    sheets.draw_sheet(pipeline, 2, 4, SamplingParams(schedule="static"))
    images, columns, rows, title = heads[0]
    expected = pipeline.generate([0, 1, 2] * 2, range(6), schedule="static").images
    np.testing.assert_array_equal(images, expected)
    assert columns == list(CLASSES)
    assert rows == ["seed 0…", "seed 3…"]
    assert title.startswith("tiny: 6 images, ")
    assert title.endswith("schedule static")


def test_sheets_of_any_sizes_are_joined():
    import pictures

    sheets = [np.full((height, 5, 1), 7, np.uint8) for height in (3, 4, 2)]
    joined = pictures.join_sheets([*sheets, sheets[0]])
    assert joined.shape == (2 * (4 + pictures.GAP), 2 * (5 + pictures.GAP), 1)
    assert (joined == 7).sum() == 5 * (3 + 4 + 2 + 3)
    assert Image.fromarray(joined[..., 0]).getextrema() == (7, 255)
