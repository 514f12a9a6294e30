"""Optional bearer tokens."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from adagen_rt.serving.http.faults import Fault, respond
from adagen_rt.serving.http.paths import PROBES, own_path
from adagen_rt.serving.http.telemetry import tell
from adagen_rt.serving.http.tokens import Tokens

#: Paths that need no token, for probes and the page; none of them runs or describes an engine.
OPEN_PATHS = ("/", *PROBES)
#: Where a request's scope has its token.
TOKEN = "adagen.token"


class BearerToken:
    """Refuses requests without a token.

    Args:
        app: The next application.
        tokens: The tokens; none lets every request through.
    """

    def __init__(self, app: ASGIApp, tokens: Tokens) -> None:
        self._app = app
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http" or own_path(scope) in OPEN_PATHS or self._admits(scope):
            await self._app(scope, receive, send)
            return
        message = "Authorization: expected 'Bearer' and the server's token"
        fault = Fault(401, message, "invalid_api_key")
        response = respond(own_path(scope), fault)
        response.headers["WWW-Authenticate"] = "Bearer"
        await response(scope, receive, send)

    def _admits(self, scope: Scope) -> bool:
        if not self._tokens:
            return True
        token = self._tokens.find(dict(scope["headers"]).get(b"authorization", b""))
        scope[TOKEN] = token
        if token is not None and token.name is not None:
            tell(scope, {"owner": token.name})
        return token is not None
