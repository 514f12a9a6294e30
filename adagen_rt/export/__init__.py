"""Export of trained weights to an engine folder."""

from __future__ import annotations

from adagen_rt.export.engine import export_engine

__all__ = ["export_engine"]
