"""What the GPU check compares: bounds of GPUs, and baselines that do the same work."""

from dataclasses import dataclass

import pytest

torch = pytest.importorskip("torch")

import numpy as np
from tiny_recipes import FAMILIES, tiny_recipe

from adagen_rt.cuda.host import HostDriver
from adagen_rt.ops import Philox
from adagen_rt.ops.reference import ReferenceOps


@pytest.mark.parametrize(
    ("device", "known"),
    [
        ("NVIDIA H200", "H200"),
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA H100 PCIe", "H100 PCIe"),
        ("NVIDIA A100-SXM4-80GB", None),
    ],
)
def test_a_device_is_found_by_its_name(device, known):
    from gpu_bounds import find_gpu

    gpu = find_gpu(device)
    assert (gpu and gpu.name) == known


def test_arithmetic_bounds_large_batches_and_reading_small_ones():
    from gpu_bounds import H200, WORK, find_gpu

    h100 = find_gpu("H100")
    assert WORK["dit-xl-2"].bound(H200, 8) == pytest.approx(8 * WORK["dit-xl-2"].bound(H200, 1))
    assert WORK["dit-xl-2"].bound(h100, 1) == pytest.approx(9.6, abs=0.05)
    assert WORK["var-d30"].bound(H200, 1) < WORK["var-d30"].bound(h100, 1)
    assert WORK["var-d30"].bound(H200, 8) < 8 * WORK["var-d30"].bound(H200, 1)


def test_a_bound_is_told_with_its_floor_and_without_a_data_sheet_there_is_none():
    from gpu_bounds import H200, describe_bound

    assert describe_bound("dit-xl-2", 1, H200) == "H200: bound 9.6 ms, realistic floor 20.0 ms"
    assert describe_bound("dit-xl-2", 8, H200) == "H200: bound 76.7 ms"
    assert describe_bound("dit-xl-2", 8, None) == "no bound for this GPU"


@pytest.fixture
def model(monkeypatch):
    """Returns a function from a family and a dtype to a tiny model on the CPU."""
    import gpu_programs
    from gpu_programs import Model, Place

    def make(family, dtype):
        monkeypatch.setattr(gpu_programs, "load_recipe", lambda path: tiny_recipe(family))
        driver = HostDriver()
        return Model(family, Place(driver, driver.new_stream(), "cpu"), dtype)

    return make


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_baseline_generates_what_the_program_does(family, dtype, model):
    from gpu_baseline import baseline

    tiny = model(family, dtype)
    seeds = np.arange(2)
    images = tiny.runner(tiny.program(2)).run({"labels": seeds}, seeds).images
    same = baseline(tiny, 2, compiled=False, ops=ReferenceOps(), noise=Philox)
    difference = np.abs(images - same().movedim(1, -1).numpy() * 255)
    # In half precision a token on the edge may fall to another side.
    assert np.median(difference) <= (0.51 if dtype == torch.float32 else 4)


@dataclass
class Drawn:
    """Noise that was drawn before."""

    noise: torch.Tensor

    def token_gumbel(self, shape):
        assert shape == self.noise.shape
        return self.noise


def test_the_baseline_truncates_as_the_specification_does():
    from gpu_baseline import PlainOps

    draw = torch.Generator().manual_seed(0)
    cond, null, noise = (2 * torch.randn(4, 50, 64, generator=draw) for _ in range(3))
    parameters = [[0.0, 1, 2, 3], [10.0, 0, 3, 100], [0.9, 1, 0.5, 0.8], [1, 0.7, 1, 2]]
    guidance, *rest = (torch.tensor(values) for values in parameters)
    order = (cond + guidance[:, None, None] * (cond - null)).argsort(-1)
    logits = cond, null, guidance, *rest
    # The baseline draws for entries in ascending order.
    drawn = PlainOps.sample_top_k_top_p(*logits, Drawn(noise.gather(-1, order)))
    assert torch.equal(drawn, ReferenceOps.sample_top_k_top_p(*logits, Drawn(noise)))


@pytest.fixture
def uncompiled(monkeypatch):
    """Compiling takes a minute, and makes CUDA graphs only where there is a GPU."""
    monkeypatch.setattr(torch, "compile", lambda module, **settings: module)
    monkeypatch.setattr(torch.compiler, "cudagraph_mark_step_begin", lambda: None)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_contender_is_timed(family, model, uncompiled, monkeypatch):
    import gpu_latency
    import gpu_programs

    monkeypatch.setattr(gpu_programs, "Model", lambda name, place, dtype: model(family, dtype))
    calls = gpu_latency.prepared(HostDriver(), "cpu", family, 2, torch.float32, repeats=1)
    times = calls["measure"]()
    kinds = ["loop", "networks", "loop uncompiled", "networks uncompiled", "eager", "compiled"]
    assert list(times) == kinds
    assert all(seconds > 0 for seconds in times.values())


def test_a_contender_that_cannot_run_is_told_with_the_times(model, monkeypatch):
    import gpu_baseline
    import gpu_latency
    import gpu_programs

    def fail(model, batch, *, compiled):
        raise RuntimeError("no compiler")

    monkeypatch.setattr(gpu_programs, "Model", lambda name, place, dtype: model("dit", dtype))
    monkeypatch.setattr(gpu_latency, "COMPILED", frozenset())
    monkeypatch.setattr(gpu_baseline, "baseline", fail)
    calls = gpu_latency.prepared(HostDriver(), "cpu", "dit", 1, torch.float32, repeats=1)
    times = calls["measure"]()
    assert times["compiled"] == times["eager"] == "FAILED with RuntimeError"
    assert times["loop"] > 0
