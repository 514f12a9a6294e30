"""One graph of an engine, measured once and written with more or fewer integer weights."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from adagen_rt.backends.onnxruntime.session import OnnxRuntime
from adagen_rt.engine.folder import EngineFolder
from adagen_rt.engine.onnx_check import external_files
from adagen_rt.engine.precision import save_graph
from adagen_rt.quantization.choice import Kind, apply_rule, measure_kinds
from adagen_rt.quantization.convolutions import Ranges, measure_ranges
from adagen_rt.quantization.errors import measure_errors, run_probes
from adagen_rt.quantization.layers import quantize_layers
from adagen_rt.quantization.probes import DECODER
from adagen_rt.types import Arrays, Tell


@dataclass(frozen=True)
class Report:
    """Measurements of one graph as it was written.

    Attributes:
        kinds: Its kinds of layers, measured.
        error: Root mean square of the difference from float32 over the deviation.
        largest: Largest difference from float32 over the deviation.
    """

    kinds: list[Kind]
    error: float = 0.0
    largest: float = 0.0

    @property
    def integers(self) -> bool:
        """Whether any weights are integers."""
        return any(kind.integer for kind in self.kinds)


@dataclass(frozen=True)
class MeasuredGraph:
    """A float32 graph, and what its layers would cost as integers.

    Attributes:
        source: The graph.
        probes: Its inputs in real generations.
        expected: Its outputs for them.
        ranges: Ranges of its convolutions; one without ranges stays float32.
        kinds: Its kinds of layers.
    """

    source: Path
    probes: Sequence[Arrays]
    expected: Sequence[Arrays]
    ranges: Ranges
    kinds: Sequence[Kind]

    @classmethod
    def of(
        cls,
        source: Path,
        probes: Sequence[Arrays],
        runtime: OnnxRuntime,
        progress: Tell,
        *,
        tune: bool = False,
    ) -> MeasuredGraph:
        """Measure a graph, arguments as for `measure_kinds`."""
        expected = run_probes(runtime.load(source), probes)
        # Other graphs' convolutions embed patches; integers are too coarse for their wide ranges.
        ranges = measure_ranges(source, probes, runtime) if source.stem == DECODER else {}
        kinds = measure_kinds(source, probes, expected, ranges, runtime, progress, tune=tune)
        return cls(source, probes, expected, ranges, kinds)

    def write(self, folder: Path, runtime: OnnxRuntime, limit: float) -> Report:
        """Write the graph's twin into a folder, and measure it.

        Args:
            folder: The folder.
            runtime: Backend that runs the graphs.
            limit: Largest error of the outputs, as `apply_rule` reckons it.
        """
        kinds = apply_rule(self.kinds, limit)
        chosen = [kind.name for kind in kinds if kind.integer]
        if not chosen:
            copy_graph(self.source, folder)
            return Report(kinds)
        model = ir.load(self.source)
        quantize_layers(model, chosen, self.ranges)
        target = folder / self.source.name
        save_graph(model, target)
        errors = measure_errors(run_probes(runtime.load(target), self.probes), self.expected)
        return Report(kinds, errors.rms, errors.largest)


def copy_condition(engine: EngineFolder, folder: Path) -> None:
    """Copy the files of an engine's condition, such as tokenizers."""
    for name in engine.manifest.condition.files:
        shutil.copyfile(engine.path / name, folder / name)


def copy_graph(source: Path, folder: Path) -> None:
    """Copy a graph and the weights that lie beside it."""
    for name in (source.name, *external_files(source)):
        shutil.copy(source.parent / name, folder / name)
