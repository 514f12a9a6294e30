"""Words beside images, for people who look at them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from adagen_rt.sampling.origin import Facts
from adagen_rt.sampling.result import Images

#: Pixels that a captioned image has at least from side to side, so that its words fit.
LEAST_WIDTH = 112
#: Height of the letters, and of the line that they stand in.
LETTERS, LINE = 12, 16
MARGIN = 3
WHITE = 255


def enlarge(images: Images, least: int = LEAST_WIDTH) -> Images:
    """Repeat the pixels of images (N, H, W, C) until they are at least so wide."""
    times = -(-least // images.shape[2])
    return images.repeat(times, axis=1).repeat(times, axis=2)


def with_captions(images: Images, captions: Sequence[Sequence[str]]) -> Images:
    """Enlarge images (N, H, W, C) and write lines under each, as many under one as under all."""
    large = enlarge(images)
    return np.stack([_with_caption(*pair) for pair in zip(large, captions, strict=True)])


def caption_of(sample: Facts) -> tuple[str, str]:
    """Say in two lines what an image is of: its class, and its seed."""
    asked = {k: v for k, v in sample.items() if k not in ("index", "seed", "asked_seed")}
    del asked["fidelity"]
    named = asked.pop("name", None)
    what = named or ", ".join(f"{name} {value}" for name, value in asked.items())
    return what, f"seed {sample['seed']}"


def _with_caption(pixels: Images, lines: Sequence[str]) -> Images:
    height, width, channels = pixels.shape
    canvas = np.full((height + LINE * len(lines), width, channels), WHITE, np.uint8)
    canvas[:height] = pixels
    shape = canvas.shape[:2]
    text = Image.new("L", shape[::-1], WHITE)
    draw, font = ImageDraw.Draw(text), ImageFont.load_default(LETTERS)
    for row, line in enumerate(lines):
        fitting = _shorten(line, font, width - 2 * MARGIN)
        draw.text((MARGIN, height + LINE * row), fitting, fill=0, font=font)
    canvas[height:] = np.asarray(text)[height:, :, None]
    return canvas


def _shorten(line: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """Cut a line so that it fits into as many pixels."""
    if font.getlength(line) <= width:
        return line
    while line and font.getlength(line + "…") > width:
        line = line[:-1]
    return line + "…"
