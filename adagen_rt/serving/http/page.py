"""The page at ``/``: one answer, without a build step or outside resources."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.resources import files

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

#: The script's parts, in order.
SCRIPTS = ("page.js", "page_plots.js", "page_run.js")


def page_router() -> APIRouter:
    """Make the route ``/``."""
    router = APIRouter()
    content = page()
    headers = {"Content-Security-Policy": content_policy(content), "X-Frame-Options": "DENY"}

    @router.get("/", response_class=HTMLResponse, include_in_schema=False)
    async def show_page() -> HTMLResponse:
        return HTMLResponse(content, headers=headers)

    return router


def page() -> str:
    """Put the page together."""
    style, script = _read("page.css"), "".join(map(_read, SCRIPTS))
    filled = _read("page.html").replace("<style></style>", f"<style>\n{style}</style>")
    return filled.replace("<script></script>", f"<script>\n{script}</script>")


def _read(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def content_policy(content: str) -> str:
    """Allow only the page's own script and style, by hash, and its own server."""
    allowed = {
        tag: " ".join(_source(part) for part in re.findall(f"<{tag}>(.*?)</{tag}>", content, re.S))
        for tag in ("script", "style")
    }
    return (
        f"default-src 'none'; script-src {allowed['script']}; style-src {allowed['style']}; "
        "img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )


def _source(part: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()}'"
