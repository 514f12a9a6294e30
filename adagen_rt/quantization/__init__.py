"""Engines with smaller weights, made of others without PyTorch."""

from __future__ import annotations

from adagen_rt.quantization.engine import quantize_engine
from adagen_rt.quantization.halves import halve_engine

__all__ = ["halve_engine", "quantize_engine"]
