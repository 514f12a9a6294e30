"""Every dtype that has a path of its own is exported of every family, and runs."""

import pytest

pytest.importorskip("torch")

import numpy as np
import onnx
from tiny_recipes import FAMILIES, tiny_recipe

from adagen_rt.export import export_engine
from adagen_rt.pipeline.stepwise import StepwisePipeline


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
@pytest.mark.parametrize("family", FAMILIES)
def test_an_export_runs(tmp_path, family, dtype):
    engine = export_engine(tiny_recipe(family), tmp_path / "engine", seeded="tiny", dtype=dtype)
    assert engine.manifest.dtype == dtype
    for graph in engine.manifest.graphs:
        onnx.checker.check_model(engine.graph_file(graph), full_check=True)
    result = StepwisePipeline(engine).generate([0, 9], [1, 2])
    assert np.ptp(result.images) > 0
