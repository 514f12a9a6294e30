"""The page in an engine's folder that documents its quantization."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from adagen_rt.engine.manifest import Manifest
from adagen_rt.quantization.choice import DEAR, Kind

CARD = "README.md"


@dataclass(frozen=True)
class Report:
    """Measurements of one quantized graph.

    Attributes:
        kinds: Its kinds of layers, measured.
        error: Root mean square of the difference from float32 over the deviation.
        largest: Largest difference from float32 over the deviation.
    """

    kinds: list[Kind]
    error: float
    largest: float


def write_card(path: Path, manifest: Manifest, reports: Mapping[str, Report]) -> None:
    """Write the page.

    Args:
        path: The page's file.
        manifest: The engine's.
        reports: Measurements of each graph that was changed.
    """
    limit = manifest.family.prediction_limit
    bound = (
        "; of the backbone, whose errors guidance multiplies, also those that would take the error "
        f"of the whole above {limit:g}"
    )
    sections = [_section(graph, report) for graph, report in reports.items()]
    text = f"""# {manifest.name}, 8-bit integer weights

Large matrix products have integer weights with a scale for every column, and their other factor
is rounded row by row when it is met. The decoder's convolutions have integer weights with a scale
for every output channel; what goes in and comes out is rounded in ranges that were measured on a
few images. A kind of layer stays float32 where its share of the squared error is more than {DEAR:g}
times its share of the weights{bound if math.isfinite(limit) else ""}. Errors are root mean squares
over the deviation of the graph's worst output, on what the graph is given in a generation; of a
kind, with these weights alone as integers.

{"".join(sections)}"""
    path.write_text(text, encoding="utf-8")


def _section(graph: str, report: Report) -> str:
    rows = "".join(
        f"| `{kind.name}` | {100 * kind.share:.1f} % | {kind.error:.1e} "
        f"| {'int8' if kind.integer else 'float32'} |\n"
        for kind in report.kinds
    )
    return (
        f"## {graph}\n\nError of the whole graph {report.error:.1e}, largest difference "
        f"{report.largest:.1e}.\n\n| layers | weights | error | kept as |\n"
        f"| --- | --- | --- | --- |\n{rows}\n"
    )
