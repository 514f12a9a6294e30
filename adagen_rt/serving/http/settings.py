"""Settings of a server."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """Limits and token of the HTTP side.

    Attributes:
        token: Bearer token that requests must carry; None asks for none.
        timeout: Seconds until an image that is not done is given up; a request may ask for less.
        images_per_request: Images that one request may ask for.
        body_bytes: Largest body, as sent and as decompressed.
        body_seconds: Time that a client has to send its body.
    """

    token: str | None = None
    timeout: float = 60.0
    images_per_request: int = 64
    body_bytes: int = 1 << 20
    body_seconds: float = 20.0
