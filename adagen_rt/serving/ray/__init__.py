"""Engines behind Ray Serve: `build` is what ``import_path`` of a deployment names."""

from __future__ import annotations

from adagen_rt.serving.ray.calls import add_services
from adagen_rt.serving.ray.options import Options
from adagen_rt.serving.ray.replica import Replica, build

__all__ = ["Options", "Replica", "add_services", "build"]
