"""What an engine's graphs are given in real generations, and what comes of these."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from adagen_rt.backends.base import Backend
from adagen_rt.engine.folder import EngineFolder
from adagen_rt.pipeline.stepwise import StepwisePipeline
from adagen_rt.sampling.request import make_request
from adagen_rt.sampling.result import Images
from adagen_rt.types import Arrays, Session

#: Moments of a generation, from 0 to 1, at which a graph that runs at every step is recorded.
MOMENTS = (0.25, 0.5, 0.75)
DECODER = "decoder"
#: Images that are generated, each of its own seed.
IMAGES = 4


@dataclass
class Recorder:
    """A graph that keeps copies of some of its inputs.

    Attributes:
        graph: The graph that computes the outputs.
        wanted: Numbers of the runs to keep, from 0.
        kept: The copies.
        runs: Number of runs so far.
    """

    graph: Session
    wanted: Collection[int]
    kept: list[Arrays] = field(default_factory=list)
    runs: int = 0

    def run(self, inputs: Arrays) -> Arrays:
        """Run the graph."""
        if self.runs in self.wanted:
            self.kept.append({name: np.array(array) for name, array in inputs.items()})
        self.runs += 1
        return self.graph.run(inputs)


class Recording:
    """A backend whose graphs keep their inputs.

    Args:
        backend: The backend that loads the graphs.
        wanted: Numbers of the runs to keep, by the graph's file.
    """

    def __init__(self, backend: Backend, wanted: dict[Path, Collection[int]]) -> None:
        self.name = backend.name
        self.recorders: dict[Path, Recorder] = {}
        self._backend, self._wanted = backend, wanted

    def load(self, path: Path) -> Recorder:
        """Load an ONNX file that has been checked already."""
        recorder = Recorder(self._backend.load(path), self._wanted.get(path, ()))
        self.recorders[path] = recorder
        return recorder


@dataclass(frozen=True)
class Generated:
    """Whole generations, one sample each.

    Attributes:
        probes: Inputs of graphs by name; the decoder's are those of every sample.
        images: The images (B, height, width, channels) uint8.
    """

    probes: dict[str, list[Arrays]]
    images: Images


def generate_probes(
    engine: EngineFolder, backend: Backend, names: Collection[str], threads: int
) -> Generated:
    """Generate a few samples, and record the inputs of graphs: at three moments, or every run.

    Args:
        engine: The engine.
        backend: The backend that runs its graphs.
        names: Names of the graphs to record, besides the decoder.
        threads: CPU threads.
    """
    steps = engine.manifest.schedule.steps
    moments = {int(steps * moment) for moment in MOMENTS}
    wanted: dict[Path, Collection[int]] = {
        engine.graph_file(name): moments if name == "backbone" else range(IMAGES)
        for name in {*names, DECODER}
    }
    recording = Recording(backend, wanted)
    pipeline = StepwisePipeline(engine, backend=recording, threads=threads)
    samples = engine.manifest.condition.examples(IMAGES)
    requests = [make_request(engine.manifest, [one], [seed]) for seed, one in enumerate(samples)]
    images = [pipeline.run(request).images for request in requests]
    probes = {name: recording.recorders[engine.graph_file(name)].kept for name in {*names, DECODER}}
    return Generated(probes, np.concatenate(images))
