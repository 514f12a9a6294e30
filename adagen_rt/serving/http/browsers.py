"""Guards against pages of others that ask this server from a visitor's browser.

Without a token, whoever reaches the port may use it, and a browser on this machine does. A page of
another origin must not be able to make it work (it cannot read the answers, yet they cost), nor a
page that gave its own name this machine's address.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from adagen_rt.serving.http.faults import Fault, respond
from adagen_rt.serving.http.paths import PROBES, own_path

#: Content types that make a browser ask for permission before it sends a page's request.
TYPES = ("application/json", "application/octet-stream")
#: What browsers say of requests that this server's own page, or the user, made.
OWN_SITES = (b"same-origin", b"none")
ANY = "*"


class Browsers:
    """Refuses hosts that nobody allowed, pages of other origins, and other content types.

    Args:
        app: The next application.
        allowed: Host names besides ``localhost`` and addresses; ``*`` allows all.
    """

    def __init__(self, app: ASGIApp, allowed: tuple[str, ...]) -> None:
        self._app = app
        self._allowed = {name.casefold() for name in allowed}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        fault = self._fault(scope) if scope["type"] == "http" else None
        if fault is None:
            await self._app(scope, receive, send)
        else:
            await respond(own_path(scope), fault)(scope, receive, send)

    def _fault(self, scope: Scope) -> Fault | None:
        if own_path(scope) in PROBES:
            return None
        headers = dict(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1")
        if not self.allows(host):
            message = f"Host: got {host!r:.80}, expected localhost, an address, or an allowed host"
            return Fault(421, message, "wrong_host", "Host", close=True)
        return self._posted(headers, host) if scope["method"] == "POST" else None

    def _posted(self, headers: dict[bytes, bytes], host: str) -> Fault | None:
        origin = headers.get(b"origin")
        foreign = headers.get(b"sec-fetch-site", OWN_SITES[0]) not in OWN_SITES
        if foreign or (origin is not None and not self._own(origin.decode("latin-1"), host)):
            message = "Origin: requests of other sites' pages are refused"
            return Fault(403, message, "cross_origin", "Origin", close=True)
        kind, _, _ = headers.get(b"content-type", b"").decode("latin-1").partition(";")
        given = kind.strip().lower()
        # Triton's client names none; a browser that names none names its origin.
        if given and given not in TYPES:
            message = f"Content-Type: got {given!r:.80}, expected {' or '.join(TYPES)}"
            return Fault(415, message, "content_type", "Content-Type", close=True)
        return None

    def allows(self, host: str) -> bool:
        """Tell whether requests may name this host, with or without a port.

        An address is no name, so that nobody can have pointed it here.
        """
        try:
            name = (urlsplit(f"//{host}").hostname or "").casefold()
        except ValueError:
            return False
        local = name == "localhost" or name.endswith(".localhost")
        return ANY in self._allowed or local or name in self._allowed or _is_address(name)

    def _own(self, origin: str, host: str) -> bool:
        """Tell whether an origin is this server's, by the host that the request names."""
        try:
            split = urlsplit(origin)
        except ValueError:
            return False
        # Behind a proxy, the host may be another than the page's.
        named = (split.hostname or "").casefold() in self._allowed
        return split.netloc.casefold() == host.casefold() or named


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
