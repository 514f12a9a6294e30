"""Choice of the weights that become integers, by a measured rule."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import onnx_ir as ir

from adagen_rt.backends.onnxruntime.session import OnnxRuntime
from adagen_rt.quantization.convolutions import Ranges
from adagen_rt.quantization.errors import relative_error, run_probes
from adagen_rt.quantization.layers import layer_kinds, quantize_layers
from adagen_rt.quantization.speed import times_as_fast
from adagen_rt.quantization.weights import count_entries
from adagen_rt.types import Arrays, Session, Tell

#: A kind of layer stays float32 where its share of the squared error is more than this many times
#: its share of the weights: integers would save little memory and cost much accuracy.
DEAR = 3.0
#: Where speed was measured, integers have to save at least this part of a layer's time, which is
#: taken to be the graph's by the share of the weights.
WORTH = 0.1


@dataclass(frozen=True)
class Kind:
    """Layers that do the same in every block.

    Attributes:
        name: Name of the layers' weights.
        share: Their share of all weights that could become integers, from 0 to 1.
        error: Error of the graph's worst output when these weights alone are integers: root mean
            square of the difference over the standard deviation.
        integer: Whether the weights become integers.
        speed: How many times as fast the graph is when these weights alone are integers; None where
            it was not measured.
    """

    name: str
    share: float
    error: float
    integer: bool = False
    speed: float | None = None

    @property
    def slow(self) -> bool:
        """Whether it was measured that integers save too little time."""
        return self.speed is not None and self.speed < 1 + WORTH * self.share


def measure_kinds(
    path: Path,
    probes: Sequence[Arrays],
    expected: Sequence[Arrays],
    ranges: Ranges,
    runtime: OnnxRuntime,
    progress: Tell = lambda message: None,
    *,
    tune: bool = False,
) -> list[Kind]:
    """Measure every kind of layer of a graph.

    Args:
        path: A float32 graph.
        probes: The graph's inputs in real generations.
        expected: The graph's outputs for each of the inputs.
        ranges: Ranges of its convolutions; a convolution without ranges stays float32.
        runtime: Backend that runs the graph.
        progress: Called with a line about what happens next.
        tune: Measure the speed of each kind too.
    """
    original = runtime.load(path) if tune else None
    layers = layer_kinds(ir.load(path), ranges)
    sizes = {name: count_entries(nodes) for name, nodes in layers.items()}
    kinds = []
    for name, size in sizes.items():
        progress(f"measuring {path.stem}: {name}")
        twin = _load_twin(path, name, ranges, runtime)
        error = relative_error(run_probes(twin, probes), expected)
        speed = times_as_fast(twin, original, probes) if original else None
        kinds.append(Kind(name, size / sum(sizes.values()), error, speed=speed))
    return kinds


def apply_rule(kinds: Sequence[Kind], limit: float = math.inf) -> list[Kind]:
    """Choose the measured kinds that become integers, up to the limit of the error.

    Errors of different layers are taken to be independent, so that their squares add up. Kinds
    with the least squared error for their share of the weights come first. None becomes integers
    under a negative limit, where its error is not a number, or where integers save no time.
    """
    total, left = sum(kind.error**2 for kind in kinds) or 1.0, limit * abs(limit)
    chosen = set()
    for kind in sorted(kinds, key=lambda kind: kind.error**2 / kind.share):
        if not kind.slow and kind.error**2 <= min(DEAR * kind.share * total, left):
            chosen.add(kind.name)
            left -= kind.error**2
    return [replace(kind, integer=kind.name in chosen) for kind in kinds]


def _load_twin(path: Path, kind: str, ranges: Ranges, runtime: OnnxRuntime) -> Session:
    model = ir.load(path)
    quantize_layers(model, [kind], ranges)
    return runtime.load_model(ir.to_proto(model), path.parent)
