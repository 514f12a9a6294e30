"""TensorRT plans of all families in the device loop, as far as the host can run them."""

import pytest

pytest.importorskip("torch")

import shutil

import numpy as np
import running_tensorrt
from tiny_recipes import FAMILIES

import adagen_rt
from adagen_rt.backends.tensorrt.build import build_plans
from adagen_rt.engine.folder import open_engine

LABELS, SEEDS = [3, 0, 9], [5, 2**63 - 1, 7]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_generates_what_it_does_on_the_cpu(family, exported, tmp_path, monkeypatch):
    engine = open_engine(shutil.copytree(exported(family).path, tmp_path / family))
    # Not before the export: PyTorch looks for a module of that name, too.
    running_tensorrt.install(monkeypatch)
    build_plans(engine, "tensorrt", batches=(1, 2))
    result = adagen_rt.load(engine.path, backend="tensorrt").generate(LABELS, SEEDS)
    expected = adagen_rt.load(engine.path, threads=1).generate(LABELS, SEEDS)
    for name, values in expected.schedule.items():
        np.testing.assert_allclose(result.schedule[name], values, rtol=1e-4, atol=1e-6)
    assert np.abs(result.images.astype(int) - expected.images).max() <= 1
    assert not result.failures
