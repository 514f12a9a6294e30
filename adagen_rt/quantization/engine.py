"""Writing of a float32 engine's twin with integer weights, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from adagen_rt.backends.onnxruntime.session import OnnxRuntime
from adagen_rt.engine.folder import EngineFolder, open_engine, staged_twin, write_manifest
from adagen_rt.engine.manifest import Manifest
from adagen_rt.errors import InputError
from adagen_rt.quantization.card import CARD, write_card
from adagen_rt.quantization.judge import Judgement, judge
from adagen_rt.quantization.probes import DECODER, Generated, generate_probes
from adagen_rt.quantization.twin import MeasuredGraph, Report, copy_condition, copy_graph
from adagen_rt.types import Tell

#: Graphs that take nearly all of the time.
GRAPHS = ("condition", "backbone", DECODER)
#: Largest error of a graph in a single evaluation.
GRAPH_LIMIT = 0.15


def quantize_engine(
    engine: EngineFolder,
    out: str | Path,
    *,
    name: str | None = None,
    threads: int = 1,
    tune: bool = False,
    progress: Tell = lambda message: None,
) -> EngineFolder:
    """Write an engine's twin whose large layers have 8-bit integer weights.

    The layers that stay float32 are chosen by measurements: of each kind of layer
    (`quantization/choice.py`) on what the graphs are given in the generation of a few images, and
    of the whole (`quantization/judge.py`). Where none can be integers, the twin is float32.

    Args:
        engine: A float32 engine.
        out: The folder of the twin; an engine that is there is replaced when all is done.
        name: The twin's name; by default the engine's with ``-int8`` at its end, or where no
            layer can be integers, with ``-float32``.
        threads: CPU threads.
        tune: Keep float32 too where integers are no faster on this machine.
        progress: Called with a line about what happens next.

    Raises:
        InputError: The engine is not float32, or would be replaced.
    """
    if engine.manifest.dtype != "float32":
        raise InputError("engine", engine.manifest.dtype, "an engine of dtype float32")
    engine.manifest.with_name(name or f"{engine.manifest.name}-float32")
    with staged_twin(engine, Path(out)) as folder:
        making = _Making(engine, folder, threads, tune, progress)
        judgement = making.settle()
        manifest = making.describe(name)
        write_manifest(folder, manifest)
        tuned = threads if tune else None
        write_card(folder / CARD, manifest, making.reports, judgement, tuned)
    if manifest.dtype == "float32":
        progress(f"no layer of {engine.manifest.name} can be integers: all weights stay float32")
    return open_engine(out)


@dataclass
class _Making:
    """A twin in the making.

    Attributes:
        engine: The float32 engine.
        folder: The folder of the twin.
        threads: CPU threads.
        tune: Whether layers stay float32 where integers are no faster.
        progress: Called with a line about what happens next.
        reports: Measurements of the graphs as they were written last.
    """

    engine: EngineFolder
    folder: Path
    threads: int
    tune: bool
    progress: Tell
    reports: dict[str, Report] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # Packed weights are faster, and take as much memory again: for times alone.
        self.runtime = OnnxRuntime(self.threads, prepack=self.tune)
        self.names = [name for name in GRAPHS if name in self.engine.manifest.graphs]

    def settle(self) -> Judgement:
        """Write all graphs, with fewer integers until whole generations are near enough."""
        for name in self.engine.manifest.graphs.keys() - set(self.names):
            copy_graph(self.engine.graph_file(name), self.folder)
        copy_condition(self.engine, self.folder)
        self.progress("generating images to measure on")
        expected = generate_probes(self.engine, self.runtime, self.names, self.threads)
        graphs = {name: self._measure(name, expected) for name in self.names}
        limit = self.engine.manifest.family.generation_limit
        limits = self._limits()
        while True:
            for name, bound in limits.items():
                self.progress(f"writing {name}, and comparing it with float32")
                self.reports[name] = graphs[name].write(self.folder, self.runtime, bound)
            self.progress("generating the same images, and comparing them")
            judgement = judge(self._generate(), expected)
            limits = dict(self._stricter(limit))
            if judgement.error <= limit or not limits:
                return judgement
            self.progress(f"images are off by {judgement.error:.2g}: more layers stay float32")

    def describe(self, name: str | None) -> Manifest:
        """Make the twin's manifest, named for what it is unless it is given a name."""
        manifest, graphs = self.engine.manifest, dict(self.engine.manifest.graphs)
        changed = {key: report for key, report in self.reports.items() if report.integers}
        for key, report in changed.items():
            graphs[key] = graphs[key].model_copy(update={"error": report.largest})
        dtype = "int8" if changed else "float32"
        named = manifest.with_name(name or f"{manifest.name}-{dtype}")
        return named.model_copy(update={"graphs": graphs, "dtype": dtype})

    def _measure(self, name: str, expected: Generated) -> MeasuredGraph:
        source, probes = self.engine.graph_file(name), expected.probes[name]
        return MeasuredGraph.of(source, probes, self.runtime, self.progress, tune=self.tune)

    def _limits(self) -> Mapping[str, float]:
        prediction = min(self.engine.manifest.family.prediction_limit, GRAPH_LIMIT)
        return {name: prediction if name == "backbone" else GRAPH_LIMIT for name in self.names}

    def _stricter(self, limit: float) -> Iterator[tuple[str, float]]:
        """Yield half of the error of each graph that can be to blame for a failure."""
        for name, report in self.reports.items():
            # The decoder's own error is that of the images for the same latents.
            blamed = name != DECODER or report.error > limit / 2
            if report.integers and blamed:
                yield name, report.error / 2 if report.error > 0 else -1.0

    def _generate(self) -> Generated:
        twin = EngineFolder(self.folder, self.engine.manifest, self.engine.hash)
        return generate_probes(twin, self.runtime, (), self.threads)
