"""Engines with 8-bit integer weights, made from float32 engines without PyTorch."""

from __future__ import annotations

from adagen_rt.quantization.engine import quantize_engine

__all__ = ["quantize_engine"]
