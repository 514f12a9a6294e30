"""Settings of a server."""

from __future__ import annotations

from dataclasses import dataclass

from adagen_rt.serving.http.tokens import Token, Tokens


@dataclass(frozen=True)
class Settings:
    """Limits and token of the HTTP side.

    Attributes:
        token: Bearer token that requests must carry; None asks for none.
        tokens: Several of them, with names and limits, in its place.
        timeout: Seconds until an image that is not done is given up; a request may ask for less.
        images_per_request: Images that one request may ask for.
        request_cost: Backbone rows that one request may cost: images, times candidates, times
            actions that refinement tries, times steps, times area, of which
            1 is the engine's own.
        ready_seconds: Seconds without a step, while there is work, after which an engine is not
            ready.
        live_seconds: Seconds after which the process is not alive either, and should be replaced.
        allowed_hosts: Names by which requests may call this server, besides ``localhost`` and
            addresses; ``*`` allows any.
        model_control: Whether clients may load and unload engines, and choose the log's levels.
        body_bytes: Largest body, as sent and as decompressed.
        body_seconds: Time that a client has to send its body.
        event_keep_alive: Seconds of silence after which a stream of events shows that it lives;
            None leaves it silent.
    """

    token: str | None = None
    tokens: Tokens | None = None
    timeout: float = 60.0
    images_per_request: int = 64
    request_cost: int = 8192
    ready_seconds: float = 60.0
    live_seconds: float = 300.0
    allowed_hosts: tuple[str, ...] = ()
    model_control: bool = False
    body_bytes: int = 1 << 20
    body_seconds: float = 20.0
    event_keep_alive: float | None = 15.0

    @property
    def accepted(self) -> Tokens:
        """Tokens that are accepted."""
        if self.tokens is not None:
            return self.tokens
        return Tokens([] if self.token is None else [Token(self.token)])
