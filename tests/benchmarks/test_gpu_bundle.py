"""A plan of a whole generation beside the loop, on stand-ins for TensorRT and the GPU."""

import re

import pytest
import running_tensorrt

pytest.importorskip("onnx_ir", reason="needs the extra bundle")


@pytest.mark.parametrize("backend", ["tensorrt", "tensorrt-rtx"])
def test_a_plan_makes_the_images_and_both_are_timed(judged_engine, monkeypatch, backend):
    import gpu_bundle

    driver = running_tensorrt.install(monkeypatch, backend)
    outcome, detail = gpu_bundle.beside_loop(driver, judged_engine, backend, labels=[0, 2, 1])
    assert outcome == "passed", detail
    pattern = r"0\.00% of pixels differ; batch 3: plan [\d.]+ ms, loop [\d.]+ ms"
    assert re.fullmatch(pattern, detail), detail
