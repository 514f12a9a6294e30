"""Captioned emoji in colour, from artwork whose licences allow it."""

from __future__ import annotations

from adagen_rt.data.emoji.make import make_emoji
from adagen_rt.data.emoji.packages import PACKAGES

__all__ = ["PACKAGES", "make_emoji"]
