"""Words beside images, for people who look at them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from adagen_rt.sampling.origin import Facts
from adagen_rt.sampling.pictures import join_grid
from adagen_rt.sampling.result import Images

#: Pixels that a captioned image has at least from side to side, so that its words fit.
LEAST_WIDTH = 112
#: The same of an image in a column that has a head.
LEAST_CELL = 64
#: Height of the letters, and of the line that they stand in.
LETTERS, LINE = 12, 16
MARGIN = 3
WHITE = 255

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def enlarge(images: Images, least: int = LEAST_WIDTH) -> Images:
    """Repeat the pixels of images (N, H, W, C) until they are at least so wide."""
    times = -(-least // images.shape[2])
    return images.repeat(times, axis=1).repeat(times, axis=2)


def with_captions(images: Images, captions: Sequence[Sequence[str]]) -> Images:
    """Enlarge images (N, H, W, C) and write lines under each, as many under one as under all.

    The first line of a caption may take two, if that is too long for one.
    """
    large, font = enlarge(images), ImageFont.load_default(LETTERS)
    width = large.shape[2] - 2 * MARGIN
    lines = [[*_wrap(first, font, width), *others] for first, *others in captions]
    most = max(map(len, lines), default=0)
    even = [[*own, *[""] * (most - len(own))] for own in lines]
    return np.stack([_with_caption(*pair) for pair in zip(large, even, strict=True)])


def caption_of(sample: Facts) -> tuple[str, str]:
    """Say in two lines what an image is of: its class, and its seed."""
    asked = {k: v for k, v in sample.items() if k not in ("index", "seed", "asked_seed")}
    del asked["fidelity"]
    named = asked.pop("name", asked.get("prompt"))
    if named is None:
        named = ", ".join(f"{name} {value}" for name, value in asked.items())
    return named, f"seed {sample['seed']}"


def with_heads(
    images: Images, columns: Sequence[str], rows: Sequence[str] = (), title: str = ""
) -> Images:
    """Join images (N, H, W, C) row by row to one (height, width, C) with words around them.

    Args:
        images: The images, as many in a row as there are columns.
        columns: Words above each column.
        rows: Words left of each row, if there are any.
        title: Words above all, if there are any.
    """
    font = ImageFont.load_default(LETTERS)
    large = enlarge(images, LEAST_CELL)
    cell, grid = large.shape[1:3], join_grid(large, len(columns), WHITE)
    top = LINE * (2 if title else 1)
    left = max((math.ceil(font.getlength(row)) + 2 * MARGIN for row in rows), default=0)
    canvas = np.full((top + len(grid), left + grid.shape[1], grid.shape[2]), WHITE, np.uint8)
    text = Image.new("L", canvas.shape[1::-1], WHITE)
    draw = ImageDraw.Draw(text)
    draw.text((left + MARGIN, 0), _shorten(title, font, grid.shape[1] - MARGIN), 0, font)
    for place, column in enumerate(columns):
        fitting = _shorten(column, font, cell[1] - MARGIN)
        draw.text((left + place * cell[1] + MARGIN, top - LINE), fitting, 0, font)
    for place, row in enumerate(rows):
        draw.text((MARGIN, top + place * cell[0] + (cell[0] - LINE) // 2), row, 0, font)
    canvas[...] = np.asarray(text)[..., None]
    canvas[top:, left:] = grid
    return canvas


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


def _wrap(text: str, font: Font, width: int) -> list[str]:
    """Break a text between words into two lines of as many pixels, if one is too short."""
    words, fitting = text[: 2 * width].split(), ""
    for count in range(len(words), 0, -1):
        fitting = " ".join(words[:count])
        if font.getlength(fitting) <= width:
            break
    else:
        return [text]
    rest = " ".join(text.split())[len(fitting) :].strip()
    return [fitting, rest] if rest else [fitting]


def _shorten(line: str, font: Font, width: int) -> str:
    """Cut a text so that it fits into a line of as many pixels."""
    line = " ".join(line.split())
    # A letter has a pixel at least, and each try measures all that is left.
    line = line if len(line) <= width else line[:width] + "…"
    if font.getlength(line) <= width:
        return line
    while line and font.getlength(line + "…") > width:
        line = line[:-1]
    return line + "…"
