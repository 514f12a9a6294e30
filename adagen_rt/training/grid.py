"""Grids of images as PNG files."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from adagen_rt.files import replace_file
from adagen_rt.sampling.encoding import write_picture
from adagen_rt.sampling.pictures import to_grid

#: Images in a row.
COLUMNS = 10


def save_grid(images: Tensor, path: Path) -> None:
    """Write images (N, c, H, W) in [0, 1], row by row."""
    pixels = (images.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    picture = to_grid(pixels, COLUMNS)
    replace_file(path, lambda temporary: write_picture(temporary, picture, "png"))
