"""A pipeline whose loop runs on the host, a step at a time."""

from __future__ import annotations

from typing import Any

# Imported here, or the first step would take the time of the import.
import array_api_compat.numpy  # noqa: F401
import numpy as np
import numpy.typing as npt

from adagen_rt.backends import PRECISIONS, Backend, Execution, make_backend
from adagen_rt.engine.bundle import parts_of
from adagen_rt.engine.folder import EngineFolder
from adagen_rt.errors import EngineError, StoppedError
from adagen_rt.ops import Ops
from adagen_rt.ops.cpu import CpuOps
from adagen_rt.ops.noise import Philox
from adagen_rt.pipeline.base import OnStep, Pipeline
from adagen_rt.pipeline.capabilities import Capabilities
from adagen_rt.sampling.assembly import Assembly
from adagen_rt.sampling.request import Request
from adagen_rt.sampling.result import Images, Result
from adagen_rt.sampling.rule import NoiseSource
from adagen_rt.sampling.sampler import Sampler
from adagen_rt.types import Arrays


class StepwisePipeline(Pipeline):
    """An engine on the host: it streams, refines, and takes any batch.

    Args:
        engine: A checked engine folder.
        backend: Name of the backend that executes the graphs.
        threads: CPU threads.
        provider: Execution provider of the backend; None is its CPU.
        precision: Number format of the backbone's products; None is float32.
        ops: The numeric steps; None takes the C++ kernels.
        noise: Noise of a step; tests inject their own.
    """

    def __init__(
        self,
        engine: EngineFolder,
        *,
        backend: str | Backend = "onnxruntime",
        threads: int = 1,
        provider: str | None = None,
        precision: str | None = None,
        ops: Ops | None = None,
        noise: NoiseSource = Philox,
    ) -> None:
        _check_actions(parts_of(engine))
        if isinstance(backend, str):
            backend, fast = _backends(backend, threads, provider, precision)
        else:
            fast = backend
        execution = Execution(backend.name, threads, provider, precision)
        super().__init__(engine, execution, Capabilities())
        self.threads = threads
        sessions = {
            name: (fast if name == "backbone" else backend).load(engine.graph_file(name))
            for name in self.manifest.graphs
        }
        self.manifest.condition.load()
        engine.check_unchanged()
        assembly = Assembly(self.manifest, sessions, ops or CpuOps(threads), noise)
        assembly.rule(self.manifest.schedule.steps)  # raises now if a graph is missing
        self._sampler: Sampler | None = Sampler(assembly)

    @property
    def sampler(self) -> Sampler:
        """See `Pipeline`."""
        if self._sampler is None:
            raise StoppedError(f"{self.manifest.name}: the pipeline is closed; load it again")
        return self._sampler

    def _run(self, request: Request, batch_size: int, progress: OnStep | None) -> Result:
        return self.sampler.run(request, batch_size=batch_size, progress=progress)

    def _score_rows(self, images: Images, rows: Arrays, batch_size: int) -> npt.NDArray[np.float32]:
        return self.sampler.score_rows(images, rows, batch_size)

    def _close(self) -> None:
        self._sampler = None

    def facts(self) -> dict[str, Any]:
        """See `Pipeline`."""
        return {"backend": self.backend, "threads": self.threads, **self.execution.facts}


def _backends(
    name: str, threads: int, provider: str | None, precision: str | None
) -> tuple[Backend, Backend]:
    """Make the backend of all graphs, and that of the backbone.

    The policy, the decoder and the judges are small, and what they say is seen at once.
    """
    fast = make_backend(name, threads, provider, precision)
    plain = precision in (None, PRECISIONS[0])
    return (fast if plain else make_backend(name, threads, provider)), fast


def _check_actions(engine: EngineFolder) -> None:
    manifest = engine.manifest
    for fault in manifest.family.schedule_faults(manifest.schedule):
        raise EngineError(f"{engine.path}: {fault}")
