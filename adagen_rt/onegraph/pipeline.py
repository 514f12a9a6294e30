"""A pipeline over one graph of the whole generation, which is written when it is first needed."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from adagen_rt.backends import Execution
from adagen_rt.engine.bundle import SUFFIX, BundleFile, open_bundle
from adagen_rt.engine.folder import EngineFolder
from adagen_rt.errors import AdagenError
from adagen_rt.lru import LruCache
from adagen_rt.onegraph.write import write_bundle
from adagen_rt.pipeline.base import OnStep, Pipeline
from adagen_rt.pipeline.bundled import BundledPipeline
from adagen_rt.pipeline.capabilities import Capabilities
from adagen_rt.sampling.params import SamplingParams
from adagen_rt.sampling.request import Request
from adagen_rt.sampling.result import Images, Result
from adagen_rt.system import cache_folder
from adagen_rt.types import Arrays

#: Graphs that stay loaded; a new one replaces the least recently used.
MAX_GRAPHS = 4
#: Parameters of a graph; the rest are inputs.
Key = tuple[Any, ...]


class OneGraphPipeline(Pipeline):
    """An engine on the CPU, each batch by one run of ONNX Runtime: no Python between the steps.

    A graph is written, and compared with the stepwise pipeline, when its number of steps, schedule
    and best-of are first asked for; then it lies in the user's cache.

    Args:
        engine: A checked engine folder.
        execution: Who runs the graphs.
        threads: CPU threads of an operator.
    """

    def __init__(self, engine: EngineFolder, execution: Execution, threads: int) -> None:
        super().__init__(
            engine, execution, Capabilities(streams=False, refines=False, reuses=False, sizes=False)
        )
        self.threads = threads
        self._graphs: LruCache[BundledPipeline] = LruCache(MAX_GRAPHS, BundledPipeline.close)
        self._graph(SamplingParams().check(engine.manifest))

    def _run(self, request: Request, batch_size: int, progress: OnStep | None) -> Result:
        graph = self._graph(request.params)
        return graph.run(request, batch_size=batch_size, progress=progress)

    def _score_rows(self, images: Images, rows: Arrays, batch_size: int) -> npt.NDArray[np.float32]:
        return self._graph(SamplingParams().check(self.manifest)).score_rows(images, rows)

    def _close(self) -> None:
        self._graphs.clear()

    def facts(self) -> dict[str, Any]:
        """See `Pipeline`."""
        return {"backend": self.backend, "threads": self.threads}

    def _graph(self, params: SamplingParams) -> BundledPipeline:
        """Find the graph of some parameters, or load it."""
        key = params.steps, params.schedule, params.best_of, params.blended

        def make() -> BundledPipeline:
            return BundledPipeline(_find(self.engine, params, key, self.threads), self.threads)

        return self._graphs.fetch(key, make)


def make_pipeline(engine: EngineFolder, execution: Execution, threads: int) -> OneGraphPipeline:
    """Make the pipeline; the backends' registry calls this."""
    return OneGraphPipeline(engine, execution, threads)


def _find(engine: EngineFolder, params: SamplingParams, key: Key, threads: int) -> BundleFile:
    """Open the file of a graph in the cache, or write it."""
    path = _place(engine, key)
    try:
        return open_bundle(path)
    except (AdagenError, OSError):  # not there, or not whole
        path.parent.mkdir(parents=True, exist_ok=True)
    engine.check_unchanged()
    plain = replace(params, fidelity=0.0)
    write_bundle(engine, path, plain, fidelity_input=params.blended, threads=threads)
    return open_bundle(path)


def _place(engine: EngineFolder, key: Key) -> Path:
    """Name the file of a graph by all that it follows from."""
    made_of = repr((engine.hash, version("adagen-rt"), *key))
    name = hashlib.sha256(made_of.encode()).hexdigest()[:24]
    return cache_folder() / "graphs" / f"{engine.manifest.name}-{name}{SUFFIX}"
