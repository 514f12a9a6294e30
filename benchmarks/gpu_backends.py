"""The backends of a GPU: whether the shipped engines generate there what they do on the CPU."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import adagen_rt
from adagen_rt.backends.gpu import compute_capability
from adagen_rt.backends.tensorrt import MODULES
from adagen_rt.backends.tensorrt.build import build_plans
from adagen_rt.engine.folder import open_engine
from adagen_rt.errors import AdagenError

LABELS, SEEDS = [3, 0, 9], [5, 2**63 - 1, 7]
#: Share of pixels that networks in float32 may turn out otherwise: a token on the edge falls to
#: another side where sums are rounded in another order.
PIXELS = 0.02


def usable_backends() -> Iterator[tuple[str, str]]:
    """Every backend of a GPU, and what keeps it from running here, or nothing."""
    yield "torch", ""
    for name, module in MODULES.items():
        try:
            module.load()
            module.check_capability(compute_capability())
        except AdagenError as error:
            yield name, str(error)
        else:
            yield name, ""


def compare(engine: str, backend: str) -> tuple[str, str]:
    """Generate, with TensorRT after building plans, and compare: outcome and detail."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / engine
        shutil.copytree(open_engine(engine).path, folder)
        if backend in MODULES:
            build_plans(open_engine(folder), backend, batches=(1, 2))
        result = adagen_rt.load(folder, backend=backend).generate(LABELS, SEEDS)
    expected = adagen_rt.load(engine).generate(LABELS, SEEDS)
    return compared(result, expected)


def compared(result: Any, expected: Any) -> tuple[str, str]:
    """Whether two results are alike: outcome and detail."""
    outcome, detail = alike(result.images, result.failures, expected)
    seconds = ", ".join(f"{name} {value:.3f} s" for name, value in result.timings.seconds.items())
    return outcome, f"{detail}; {seconds}"


def alike(images: np.ndarray, failures: Mapping[int, int], expected: Any) -> tuple[str, str]:
    """Whether images and failures are a result's: outcome and detail."""
    share = float((np.abs(images.astype(int) - expected.images) > 1).mean())
    passed = share <= PIXELS and failures == expected.failures
    return "passed" if passed else "FAILED", f"{share:.2%} of pixels differ"
