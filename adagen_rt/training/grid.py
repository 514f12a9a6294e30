"""Grids of images as PNG files."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from adagen_rt.files import replace_file
from adagen_rt.sampling.pictures import to_picture


def save_grid(images: Tensor, path: Path, columns: int = 10) -> None:
    """Write images (N, c, H, W) in [0, 1], row by row."""
    count, channels, height, width = images.shape
    rows = -(-count // columns)
    canvas = images.new_zeros(channels, rows * height, columns * width)
    for index, image in enumerate(images):
        top, left = index // columns * height, index % columns * width
        canvas[:, top : top + height, left : left + width] = image
    pixels = (canvas.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
    picture = to_picture(pixels)
    replace_file(path, lambda temporary: picture.save(temporary, format="png"))
