"""Plots say what they show."""

import numpy as np
import pytest
from tiny_engine import SCHEDULE, STEPS

from adagen_rt.cli.support import plots
from adagen_rt.evaluation.latency import PARTS, Measurement

pytest.importorskip("matplotlib", reason="needs the extra plot")


@pytest.fixture
def drawn(monkeypatch):
    figures = []
    monkeypatch.setattr(plots, "save_figure", lambda path, figure: figures.append(figure))
    return figures


def test_ticks_are_the_batch_sizes(drawn, tmp_path):
    seconds, profile = np.ones(3), np.zeros((1, len(PARTS) + 1))
    measured = [Measurement(size, seconds, profile) for size in (1, 2)]
    plots.save_latencies(tmp_path / "b.png", measured, "engine, 8 steps")
    for axis in drawn[0].axes:
        assert [label.get_text() for label in axis.get_xticklabels()] == ["1", "2"]
        assert list(axis.get_xticks(minor=True)) == []
    assert drawn[0].get_suptitle() == "engine, 8 steps"


def test_a_schedule_names_engine_and_count(drawn, run, tiny_engine, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert SCHEDULE.steps == STEPS
    run("generate", "--engine", tiny_engine, "--count", 3, "--static", "--plot", "s.png")
    assert drawn[0].get_suptitle() == f"tiny: static schedule of 3 images, {STEPS} steps"
