"""Paths of requests, as this application knows them."""

from __future__ import annotations

from starlette.types import Scope

#: Paths of health checks.
PROBES = ("/v2/health/live", "/v2/health/ready")


def own_path(scope: Scope) -> str:
    """Return a request's path without that under which another application has mounted this one."""
    path, root = str(scope["path"]), str(scope.get("root_path", "")).rstrip("/")
    inside = path.removeprefix(root) if path == root or path.startswith(f"{root}/") else path
    return inside or "/"
