"""Pixels as a Pillow image."""

from __future__ import annotations

from PIL import Image

from adagen_rt.sampling.result import Images


def to_picture(pixels: Images) -> Image.Image:
    """Make a picture of pixels (H, W, c) uint8, grey or RGB."""
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
