"""Serving: step-level continuous batching, to embed or behind HTTP (`adagen_rt.serving.http`)."""

from __future__ import annotations

from adagen_rt.serving.batch_engine import Engine
from adagen_rt.serving.job import Image, Job, Observer, Outcome, Progress, Stats

__all__ = ["Engine", "Image", "Job", "Observer", "Outcome", "Progress", "Stats"]
