"""Export of trained weights to an engine folder."""

from __future__ import annotations

from adagen_rt.export.engine import check_export, export_engine

__all__ = ["check_export", "export_engine"]
