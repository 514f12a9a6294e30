"""Show a result: in one line, and in a notebook."""

from __future__ import annotations

from base64 import b64encode
from html import escape
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from adagen_rt.sampling.pictures import to_grid

if TYPE_CHECKING:
    from adagen_rt.sampling.result import Result

#: Samples named in one line, and images in a notebook's picture.
NAMED, SHOWN = 4, 64
#: A notebook shows small images larger, up to so many pixels a side.
SIDE = 512


def one_line(result: Result) -> str:
    """Describe the size, and conditions and seeds of the first images."""
    count, height, width = result.images.shape[:3]
    asked = [result.describe(i) for i in range(min(count, NAMED))]
    more = f", and {count - NAMED} more" if count > NAMED else ""
    failed = f"; {len(result.failures)} failed" if result.failures else ""
    images = "image" if count == 1 else "images"
    return f"<Result: {count} {images} of {height} x {width}: {'; '.join(asked)}{more}{failed}>"


def as_png(result: Result) -> bytes:
    """Encode the first images as one picture."""
    from adagen_rt.sampling.encoding import encode_picture

    return encode_picture(to_grid(result.images[:SHOWN]))


def as_html(result: Result) -> str:
    """Show the first images, and the median of the samples' actions at each policy call."""
    from adagen_rt.sampling.encoding import encode_picture

    grid, line = to_grid(result.images[:SHOWN]), one_line(result)
    picture = b64encode(encode_picture(grid)).decode("ascii")
    width = grid.width * max(1, SIDE // grid.width)
    return (
        f'<img width="{width}" style="image-rendering: pixelated" '
        f'src="data:image/png;base64,{picture}" alt="{escape(line)}">'
        f"<p>{escape(line[1:-1])}</p>{_table(result)}"
    )


def _table(result: Result) -> str:
    """Make a table with a row an action and a column a call."""
    calls = len(next(iter(result.schedule.values())))
    numbers = "".join(f"<th>{call}</th>" for call in range(1, calls + 1))
    rows = "".join(
        f"<tr><th>{escape(name)}</th>{''.join(f'<td>{_median(call)}</td>' for call in values)}</tr>"
        for name, values in result.schedule.items()
    )
    return f"<table><tr><th>policy call, median</th>{numbers}</tr>{rows}</table>"


def _median(values: npt.NDArray[np.float32]) -> str:
    """Write the median of the samples that needed the call."""
    needed = values[np.isfinite(values)]
    return f"{np.median(needed):.3g}" if len(needed) else ""
