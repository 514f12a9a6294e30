"""Serving: step-level continuous batching, to embed or behind HTTP (`adagen_rt.serving.http`)."""

from __future__ import annotations

import warnings
from typing import Any

from adagen_rt.serving.batching.caller import Caller
from adagen_rt.serving.batching.engine import BatchEngine
from adagen_rt.serving.batching.job import Image, Job, Observer, Outcome, Progress, Stats

__all__ = ["BatchEngine", "Caller", "Image", "Job", "Observer", "Outcome", "Progress", "Stats"]


def __getattr__(name: str) -> Any:
    if name == "Engine":  # the name in the previous version
        text = "adagen_rt.serving.Engine is deprecated; use adagen_rt.serving.BatchEngine"
        warnings.warn(text, DeprecationWarning, stacklevel=2)
        return BatchEngine
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
