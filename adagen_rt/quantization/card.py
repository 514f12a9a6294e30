"""The page in an engine's folder that documents its quantization."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from adagen_rt.engine.manifest import Manifest
from adagen_rt.quantization.choice import DEAR, WORTH, Kind
from adagen_rt.quantization.judge import Judgement
from adagen_rt.quantization.probes import IMAGES
from adagen_rt.quantization.speed import TURNS
from adagen_rt.quantization.twin import Report
from adagen_rt.quantization.weights import OUTLIER
from adagen_rt.system import processor_name

CARD = "README.md"
_RULE = """\
Large matrix products have integer weights with a scale for every column, and their other factor
is rounded row by row when it is met. Inputs of a product whose largest weight is {outlier:g} times
the median input's stay float32. The decoder's convolutions have integer weights with a scale
for every output channel; what goes in and comes out is rounded in ranges that were measured on a
few images. A kind of layer stays float32 where its share of the squared error is more than {dear:g}
times its share of the weights{bound}. Errors are root mean squares
over the deviation of the graph's worst output, on what the graph is given in a generation; of a
kind, with these weights alone as integers."""
_TUNED = """\
A kind also stays float32 where integers save less than {worth:g} of its time, which is taken to be
the graph's by the share of the weights. Speed is how many times as fast the graph is with the
kind alone as integers, the median of {turns} turns; {processor}, CPU threads: {threads}."""
_NONE = """\
**No weight is an integer here**: no layer is large enough, or with any kind of layer as integers
the images are not those of float32. This engine computes what the one it was made of computes."""
_WHOLE = """\
## Whole generations

The same {count} samples, of seeds 0 to {last}, were generated in float32 and by this engine. Errors
are root mean squares over the deviation between samples at the same place; two unrelated samples
are 1.4 apart. If latents or images exceeded {limit:g}, more layers would stay float32.

| | error |
| --- | --- |
{rows}"""


def write_card(
    path: Path,
    manifest: Manifest,
    reports: Mapping[str, Report],
    judgement: Judgement,
    tuned: int | None = None,
) -> None:
    """Write the page.

    Args:
        path: The page's file.
        manifest: The twin's.
        reports: Measurements of each graph with layers that can have integer weights.
        judgement: Measurements of whole generations.
        tuned: CPU threads with which the kinds' speeds were measured, if they were.
    """
    integers = manifest.dtype == "int8"
    title = f"# {manifest.name}, {'8-bit integer weights' if integers else 'float32 weights'}"
    rule = _RULE.format(outlier=OUTLIER, dear=DEAR, bound=_bound(manifest))
    parts = [title, *([] if integers else [_NONE]), rule]
    if tuned:
        parts.append(
            _TUNED.format(worth=WORTH, turns=TURNS, processor=processor_name(), threads=tuned)
        )
    parts.append(_whole(manifest, judgement))
    parts += [_section(graph, report) for graph, report in reports.items()]
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _bound(manifest: Manifest) -> str:
    limit = manifest.family.prediction_limit
    if not math.isfinite(limit):
        return ""
    return (
        "; of the backbone, whose errors guidance multiplies, also those that would take the error "
        f"of the whole above {limit:g}"
    )


def _whole(manifest: Manifest, judgement: Judgement) -> str:
    rows = {"images": f"{judgement.images:.1e}"}
    if judgement.latents is not None:
        rows["final latents"] = f"{judgement.latents:.1e}"
    if judgement.tokens is not None:
        rows["final tokens that differ"] = f"{100 * judgement.tokens:.1f} %"
    return _WHOLE.format(
        count=IMAGES,
        last=IMAGES - 1,
        limit=manifest.family.generation_limit,
        rows="\n".join(f"| {name} | {value} |" for name, value in rows.items()),
    )


def _section(graph: str, report: Report) -> str:
    tuned = any(kind.speed is not None for kind in report.kinds)
    header = ["layers", "weights", "error", *["speed"][:tuned], "kept as"]
    rows = [header, ["---"] * len(header), *(_row(kind) for kind in report.kinds)]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in rows)
    return (
        f"## {graph}\n\nError of the whole graph {report.error:.1e}, largest difference "
        f"{report.largest:.1e}.\n\n{table}"
    )


def _row(kind: Kind) -> list[str]:
    speed = [] if kind.speed is None else [f"{kind.speed:.2f}"]
    kept = "int8" if kind.integer else "float32"
    return [f"`{kind.name}`", f"{100 * kind.share:.1f} %", f"{kind.error:.1e}", *speed, kept]
