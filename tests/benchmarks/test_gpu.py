"""What the GPU check compares: bounds of GPUs, and baselines that do the same work."""

import pytest

torch = pytest.importorskip("torch")

import numpy as np
from tiny_recipes import FAMILIES, tiny_recipe

from adagen_rt.cuda.host import HostDriver


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


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_baseline_generates_what_the_program_does(family, dtype, monkeypatch):
    import gpu_programs

    monkeypatch.setattr(gpu_programs, "load_recipe", lambda path: tiny_recipe(family))
    driver = HostDriver()
    place = gpu_programs.Place(driver, driver.new_stream(), "cpu")
    model = gpu_programs.Model(family, place, dtype)
    seeds = np.arange(2)
    images = model.runner(model.program(2)).run(seeds, seeds).images
    baseline = model.eager(2, compiled=False)().movedim(1, -1).numpy() * 255
    difference = np.abs(images - baseline)
    # In half precision a token on the edge may fall to another side.
    assert np.median(difference) <= (0.51 if dtype == torch.float32 else 4)
