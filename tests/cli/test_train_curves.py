"""Curves of a training have panels for what was logged, and no others."""

import pytest

from adagen_rt.cli.support.curves import PANELS, filled_panels, save_curves

COLUMNS = [name for names in PANELS for name in names]


def row(**values):
    return dict.fromkeys(COLUMNS, "") | {name: str(value) for name, value in values.items()}


def test_empty_panels_are_left_out():
    rows = [row(reward=1), row(reward=2, fake=0.5)]
    assert filled_panels(rows) == [("reward",), ("fake",)]
    assert filled_panels([]) == []


@pytest.mark.parametrize("lines", [[], ["0,1.5"], ["0,1.5", "1,2"]])
def test_the_picture_of_a_short_log(tmp_path, lines):
    pytest.importorskip("matplotlib", reason="needs the extra plot")
    log = tmp_path / "log.csv"
    header = ",".join(["update", *COLUMNS])
    padded = [line + "," * (len(COLUMNS) - 1) for line in lines]
    log.write_text("\n".join([header, *padded]) + "\n")
    save_curves(tmp_path / "curves.png", log)
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
