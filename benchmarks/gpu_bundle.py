"""One plan of a whole generation, beside the captured loop over the same engine's plans."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from gpu_backends import LABELS, SEEDS, alike
from timing import interleaved_medians

import adagen_rt
from adagen_rt.backends.tensorrt.build import build_plans
from adagen_rt.backends.tensorrt.graph import PlanGraph
from adagen_rt.backends.tensorrt.jit_cache import JitCache
from adagen_rt.backends.tensorrt.modules import find_module, last_errors, make_logger
from adagen_rt.backends.tensorrt.runtime import make_context
from adagen_rt.backends.tensorrt.whole import build_whole
from adagen_rt.cuda import Driver
from adagen_rt.engine.bundle import BundleFile
from adagen_rt.engine.folder import open_engine
from adagen_rt.errors import PlanError


def beside_loop(
    driver: Driver, engine: str | Path, backend: str, labels: Sequence[int] = LABELS
) -> tuple[str, str]:
    """Build both kinds of plans, compare the images with the CPU's, time both: outcome, detail."""
    from adagen_rt.onegraph.write import write_bundle

    expected = adagen_rt.load(engine).generate(labels, SEEDS)
    inputs = {"labels": np.array(labels), "seeds": np.array(SEEDS)}
    with tempfile.TemporaryDirectory() as scratch:
        folder, model = Path(scratch) / "engine", Path(scratch) / "one.onnx"
        shutil.copytree(open_engine(engine).path, folder)
        write_bundle(open_engine(folder), model, dialect="tensorrt")
        bundle = open_engine(model)
        assert isinstance(bundle, BundleFile)
        whole = WholePlan(
            build_whole(bundle, backend, batches=[len(labels)]), backend, driver, inputs
        )
        made = whole.run()
        failures = {
            int(place): int(made["failed"][place]) for place in np.flatnonzero(made["failed"])
        }
        outcome, detail = alike(made["images"], failures, expected)
        build_plans(open_engine(folder), backend, batches=[len(labels)])
        with adagen_rt.load(folder, backend=backend) as loop:
            medians = interleaved_medians(
                {"plan": whole.run, "loop": lambda: loop.generate(labels, SEEDS)}
            )
        whole.close()
    times = ", ".join(f"{name} {seconds * 1e3:.2f} ms" for name, seconds in medians.items())
    return outcome, f"{detail}; batch {len(labels)}: {times}"


class WholePlan:
    """A plan of a whole generation on the GPU.

    Args:
        path: The plan.
        backend: The backend that built it.
        driver: The GPU.
        inputs: Arrays by name, which every run takes.
    """

    def __init__(
        self, path: Path, backend: str, driver: Driver, inputs: Mapping[str, np.ndarray]
    ) -> None:
        module = find_module(backend)
        logger = make_logger(module.load())
        self._runtime = module.load().Runtime(logger)
        plan = self._runtime.deserialize_cuda_engine(path.read_bytes())
        if plan is None:
            raise PlanError(f"{path.name}: TensorRT refuses it: {last_errors(logger.errors)}")
        self._driver, self._stream = driver, driver.new_stream()
        context = make_context(module, plan, JitCache(path.with_suffix(".kernels")))
        shapes = {name: array.shape for name, array in inputs.items()}
        self._graph = PlanGraph(plan, context, 0, shapes, self._stream, logger.errors)
        scratch = int(plan.get_device_memory_size_for_profile_v2(0))
        self._memory = {"": driver.allocate(max(scratch, 1))}
        self._graph.set_scratch(self._memory[""], scratch)
        self._inputs = {name: self._host(array) for name, array in inputs.items()}
        self._outputs = {
            name: driver.host_array(spec.shape, spec.dtype)
            for name, spec in self._graph.outputs.items()
        }
        addresses = {
            name: driver.allocate(array.nbytes)
            for name, array in {**self._inputs, **self._outputs}.items()
        }
        self._memory |= addresses
        self._graph.bind(addresses)

    def run(self) -> Mapping[str, np.ndarray]:
        """Generate; the arrays are the same at every run."""
        for name, array in self._inputs.items():
            self._driver.upload(self._memory[name], array, self._stream)
        self._graph.enqueue(self._stream)
        for name, array in self._outputs.items():
            self._driver.download(array, self._memory[name], self._stream)
        self._driver.synchronize(self._stream)
        return self._outputs

    def close(self) -> None:
        """Give its memory back."""
        for address in self._memory.values():
            self._driver.free(address)

    def _host(self, array: np.ndarray) -> np.ndarray:
        held = self._driver.host_array(array.shape, array.dtype)
        held[...] = array
        return held
