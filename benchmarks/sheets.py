"""Sheets of generated images with words around them: a column a class, a row a seed."""

from __future__ import annotations

from pathlib import Path

from adagen_rt.condition import ClassLabels
from adagen_rt.evaluation.images import Source
from adagen_rt.files import replace_file
from adagen_rt.sampling.captions import with_heads
from adagen_rt.sampling.params import SamplingParams
from adagen_rt.sampling.pictures import to_picture
from adagen_rt.sampling.request import make_request
from adagen_rt.sampling.result import Images

#: Classes that are shown at most.
MAX_COLUMNS = 10


def draw_sheet(source: Source, rows: int, batch_size: int, params: SamplingParams) -> Images:
    """Make images of every class, or of some that are evenly spread, and name all that is seen.

    Args:
        source: The generator.
        rows: Images of each class; a row has consecutive seeds, the first of all is 0.
        batch_size: Images made together.
        params: Sampling parameters; what differs from the usual is in the title.
    """
    manifest = source.manifest
    condition = manifest.condition
    columns = condition.examples(min(condition.variety, MAX_COLUMNS))
    count = len(columns) * rows
    request = make_request(manifest, columns * rows, range(count), params)
    images = source.run(request, batch_size=batch_size).images
    names = condition.names if isinstance(condition, ClassLabels) else ()
    heads = [names[column] if names else str(column) for column in columns]
    seeds = [f"seed {first}…" for first in range(0, count, len(columns))]
    told = [f"{name} {value}" for name, value in params.changed().items()]
    words = ", ".join([f"{count} images", f"{request.steps} steps", *told])
    return with_heads(images, heads, seeds, f"{manifest.name}: {words}")


def save_sheet(sheet: Images, path: Path) -> None:
    """Write a sheet as a PNG."""
    picture = to_picture(sheet)
    replace_file(path, lambda temporary: picture.save(temporary, format="png", optimize=True))
