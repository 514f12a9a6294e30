"""Engines in half precision agree with float32 ones: each graph, and whole generations."""

import pytest

pytest.importorskip("torch")

import numpy as np
from short_form import slow

from adagen_rt.pipeline.stepwise import StepwisePipeline
from golden.engines import final_states

#: Those whose whole generations are compared as well; the two have the same network.
LATENT = ["dit-xl-2", *slow("sit-xl-2")]


@pytest.mark.parametrize(
    "recipe",
    [*LATENT, *slow("maskgit-l", "var-d16")],
)
def test_every_graph(golden_engine, recipe):
    engine = golden_engine(recipe, dtype="float16")
    full = golden_engine(recipe)
    for name, graph in engine.manifest.graphs.items():
        assert graph.error is not None
        assert graph.error < 2e-2, name
    # Embeddings, norms and the graph itself stay as they are.
    sizes = [e.graph_file("backbone").stat().st_size for e in (engine, full)]
    assert sizes[0] < 0.75 * sizes[1]


@pytest.mark.parametrize("recipe", LATENT)
def test_latents(golden_engine, recipe):
    opened = (golden_engine(recipe, dtype=dtype) for dtype in ("float16", "float32"))
    half, full = (
        final_states(StepwisePipeline(engine, threads=2), [1, 207], [0, 1]).x for engine in opened
    )
    assert np.linalg.norm(half - full) < 2e-2 * np.linalg.norm(full)
