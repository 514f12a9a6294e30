"""Pixels as PNG."""

from __future__ import annotations

import base64
import io

import numpy as np
import numpy.typing as npt

from adagen_rt.sampling.pictures import to_picture


def png_base64(pixels: npt.NDArray[np.uint8]) -> str:
    """Encode one image (H, W, c), grey or RGB, as base64 of a PNG."""
    buffer = io.BytesIO()
    to_picture(pixels).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()
