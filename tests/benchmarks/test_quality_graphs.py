"""An engine's graphs in PyTorch make the images that ONNX Runtime makes of them."""

import pytest

torch = pytest.importorskip("torch")

from adagen_rt.evaluation.choices import Choice

from adagen_rt.engine.folder import open_engine, shipped_engines
from adagen_rt.evaluation.sources import EngineSource, draw_requests
from adagen_rt.pipeline.stepwise import StepwisePipeline

CHOICES = [
    Choice(),
    Choice("static", guidance=2.0),
    Choice("tuned"),
    Choice(fidelity=0.5),
    Choice(refine=2),
]
COUNT = 6


def quiet(count):
    """Nobody watches."""


@pytest.mark.parametrize("name", shipped_engines())
def test_graphs_make_the_engines_images(name):
    from quality_graphs import GraphSource

    engine = open_engine(name)
    runtime = EngineSource(StepwisePipeline(engine))
    graphs = GraphSource(engine, engine.manifest, "cpu", 4)
    labels, seeds = draw_requests(COUNT, 10, 0)
    for choice in CHOICES:
        expected = runtime.make(choice, labels, seeds, quiet)
        made = graphs.make(choice, labels, seeds, quiet)
        assert (made.images - expected.images).abs().max() < 1.5 / 255, choice
        assert made.rows == expected.rows
    rewards = graphs.reward()(made)
    assert rewards == pytest.approx(runtime.reward()(made), abs=1e-5)
