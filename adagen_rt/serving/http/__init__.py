"""HTTP around the scheduler: KServe v2, OpenAI images, server-sent events, metrics, a page."""

from __future__ import annotations

from adagen_rt.serving.http.app import create_app
from adagen_rt.serving.http.fleet import Fleet
from adagen_rt.serving.http.settings import Settings

__all__ = ["Fleet", "Settings", "create_app"]
