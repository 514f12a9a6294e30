"""An optional bearer token."""

from __future__ import annotations

import hmac

from starlette.types import ASGIApp, Receive, Scope, Send

from adagen_rt.serving.http.faults import Fault, respond
from adagen_rt.serving.http.paths import PROBES, own_path

#: Paths that need no token, for probes and the page; none of them runs or describes an engine.
OPEN_PATHS = ("/", *PROBES)


class BearerToken:
    """Refuses requests without the token.

    Args:
        app: The next application.
        token: The token; None lets every request through.
    """

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self._app = app
        self._expected = None if token is None else f"bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http" or own_path(scope) in OPEN_PATHS or self._admits(scope):
            await self._app(scope, receive, send)
            return
        fault = Fault(401, "Authorization: expected 'Bearer' and the server's token", "no_token")
        response = respond(own_path(scope), fault)
        response.headers["WWW-Authenticate"] = "Bearer"
        await response(scope, receive, send)

    def _admits(self, scope: Scope) -> bool:
        if self._expected is None:
            return True
        scheme, _, token = dict(scope["headers"]).get(b"authorization", b"").partition(b" ")
        given = scheme.lower() + b" " + token.strip()
        return hmac.compare_digest(given, self._expected)
