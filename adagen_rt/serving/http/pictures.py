"""Pixels as text for JSON: base64 of a picture's file."""

from __future__ import annotations

import base64

import numpy as np
import numpy.typing as npt

from adagen_rt.sampling.encoding import BEST, encode


def as_base64(pixels: npt.NDArray[np.uint8], kind: str = "png", quality: int = BEST) -> str:
    """Encode one image (H, W, c), grey or RGB, in a format and a quality of `encode`."""
    return base64.b64encode(encode(pixels, kind, quality)).decode()
