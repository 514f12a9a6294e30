"""Export of pipelines of the library diffusers, by adapters, one a class of pipelines."""

from __future__ import annotations

from adagen_rt.export.diffusers.dry import dry_export
from adagen_rt.export.diffusers.engine import export_pipeline, plan_pipeline
from adagen_rt.export.diffusers.folder import is_pipeline

__all__ = ["dry_export", "export_pipeline", "is_pipeline", "plan_pipeline"]
