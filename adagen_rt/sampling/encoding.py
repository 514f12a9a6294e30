"""Pictures as bytes of a format: the one place that calls Pillow's encoders for single pictures."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from adagen_rt.sampling.facts import picture_options
from adagen_rt.sampling.formats import QUALITY
from adagen_rt.sampling.origin import Facts
from adagen_rt.sampling.pictures import to_picture

if TYPE_CHECKING:
    from PIL import Image

    from adagen_rt.sampling.result import Images

#: Quality that loses no more than a format has to, and the usual one.
BEST = 100


def write_picture(
    target: Path | IO[bytes],
    picture: Image.Image,
    kind: str,
    facts: Facts | None = None,
    quality: int = BEST,
) -> None:
    """Write a picture in place.

    Args:
        target: A path, whatever its ending, or a file.
        picture: The picture.
        kind: Its format as Pillow calls it.
        facts: What it says of itself; None says nothing.
        quality: From 0 to 100; `encode` says what it does.
    """
    about = {} if facts is None else picture_options(kind, facts)
    picture.save(target, format=kind, **_options(kind, quality), **about)


def write_frames(
    target: Path,
    frames: Sequence[Image.Image],
    milliseconds: Sequence[int],
    kind: str,
    facts: Facts,
) -> None:
    """Write a picture that moves in place.

    Args:
        target: A path, whatever its ending.
        frames: Its pictures.
        milliseconds: How long each is shown.
        kind: Its format as Pillow calls it.
        facts: What it says of itself.
    """
    moving = {"save_all": True, "append_images": frames[1:], "loop": 0}
    about = {**_options(kind, BEST), **picture_options(kind, facts)}
    frames[0].save(target, format=kind, duration=milliseconds, **moving, **about)


def encode(pixels: Images, kind: str = "png", quality: int = BEST) -> bytes:
    """Encode one image.

    Args:
        pixels: (H, W, c) uint8, grey or RGB.
        kind: The format as Pillow calls it.
        quality: From 0 to 100. 100 is that of files: WebP loses nothing, and JPEG has 95 of
            Pillow's scale, above which files grow and images do not get better. Less shrinks both
            by what people do not see. PNG never loses anything.

    Returns:
        The file's content.
    """
    return encode_picture(to_picture(pixels), kind, quality)


def encode_picture(picture: Image.Image, kind: str = "png", quality: int = BEST) -> bytes:
    """Encode one picture; arguments as for `encode`."""
    content = io.BytesIO()
    write_picture(content, picture, kind, quality=quality)
    return content.getvalue()


def _options(kind: str, quality: int) -> dict[str, Any]:
    options = QUALITY.get(kind, {})
    if quality == BEST or not options:
        return options
    # Of JPEG, in parts of the best that is used.
    scaled = round(quality * options.get("quality", BEST) / BEST)
    lossy = {"lossless": False} if "lossless" in options else {}
    return {**options, **lossy, "quality": scaled}
