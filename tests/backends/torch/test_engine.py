"""The backend torch: an engine's graphs in PyTorch, in the device loop."""

import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from program.host import Submitted

import adagen_rt
from adagen_rt.backends.torch import engine as torch_engine
from adagen_rt.backends.torch.engine import EngineGraphs
from adagen_rt.cuda.host import HostDriver
from adagen_rt.engine.folder import open_engine
from adagen_rt.errors import DeviceError, MissingExtraError
from adagen_rt.pipeline.captured import CapturedPipeline

LABELS, SEEDS = [0, 1, 2, 2, 1], [5, 6, 7, 2**63 - 1, 0]
OPTIONS = [{}, {"schedule": "static"}, {"fidelity": [0, 0.5, 1, 0, 0.25]}, {"best_of": 2}]


class HostEngineGraphs(Submitted):
    """PyTorch on the CPU works at once, where a captured graph works when it is replayed."""

    backend, batches = "torch", (1, 2, 4)

    def keep_kernels(self):
        self._graphs.keep_kernels()

    def close(self):
        self._graphs.close()


def make(engine):
    driver = HostDriver()
    graphs = HostEngineGraphs(EngineGraphs(engine, "cpu"), driver)
    return CapturedPipeline(engine, graphs, driver, driver.new_stream())


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("name", ["fashion-maskgit", "fashion-var", "fashion-dit", "fashion-sit"])
def test_it_generates_what_onnx_runtime_does(name, options):
    engine = open_engine(name)
    expected = adagen_rt.load(name, threads=1).generate(LABELS, SEEDS, **options)
    generator = make(engine)
    result = generator.generate(LABELS, SEEDS, **options)
    generator.close()
    # Sums are rounded in another order.
    assert np.abs(result.images.astype(int) - expected.images).max() <= 2
    for action, values in expected.schedule.items():
        np.testing.assert_allclose(result.schedule[action], values, rtol=1e-3, atol=1e-4)
    assert result.failures == expected.failures


def test_without_a_gpu_one_line_says_so(tiny_engine, monkeypatch):
    def nothing(**options):
        raise DeviceError("no NVIDIA GPU: the driver's library was not found")

    monkeypatch.setattr(torch_engine, "open_driver", nothing)
    with pytest.raises(DeviceError, match="no NVIDIA GPU"):
        adagen_rt.load(tiny_engine, backend="torch")


def test_a_pytorch_without_cuda_is_told(tiny_engine, monkeypatch):
    monkeypatch.setattr(torch_engine, "open_driver", lambda **options: HostDriver())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="this build of PyTorch cannot use the GPU"):
        adagen_rt.load(tiny_engine, backend="torch")


def test_without_pytorch_the_extra_is_named(tiny_engine, monkeypatch):
    monkeypatch.delitem(sys.modules, torch_engine.__name__)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"adagen-rt\[torch-cuda\]"):
        adagen_rt.load(tiny_engine, backend="torch")
