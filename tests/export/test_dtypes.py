"""Every dtype that has a path of its own is exported of every family, and runs."""

import pytest

pytest.importorskip("torch")

import numpy as np
import onnx
from short_form import slow
from tiny_recipes import FAMILIES, tiny_recipe

from adagen_rt.export import export_engine
from adagen_rt.pipeline.stepwise import StepwisePipeline

CASES = [
    *(pytest.param(family, "bfloat16", id=f"{family}-bfloat16") for family in FAMILIES),
    pytest.param("dit", "int8", id="dit-int8"),
    *slow(*((family, "int8") for family in FAMILIES if family != "dit")),
]


@pytest.mark.parametrize(("family", "dtype"), CASES)
def test_an_export_runs(tmp_path, family, dtype):
    told: list[str] = []
    options = {"seeded": "tiny", "dtype": dtype, "progress": told.append}
    engine = export_engine(tiny_recipe(family), tmp_path / "engine", **options)
    # Layers of so few numbers may all be better off in float32, and then the export says so.
    wholly = any(line.endswith("can be integers: all weights stay float32") for line in told)
    assert dtype == "int8" or not wholly
    assert engine.manifest.dtype == ("float32" if wholly else dtype)
    for graph in engine.manifest.graphs:
        onnx.checker.check_model(engine.graph_file(graph), full_check=True)
    result = StepwisePipeline(engine).generate([0, 9], [1, 2])
    assert np.ptp(result.images) > 0
