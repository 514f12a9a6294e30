"""Bearer tokens: who may ask, under which name, and for how much."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from adagen_rt.serving.batching.caller import SHARES


@dataclass(frozen=True)
class Token:
    """One token.

    Attributes:
        secret: The token itself.
        name: Name of its owner, who is one client from whatever address; None tells the owners of
            this token apart by their addresses.
        cost: Backbone rows that one of its requests may cost; None leaves it to the server.
        priority: The highest level that its requests may ask for.
    """

    secret: str
    name: str | None = None
    cost: int | None = None
    priority: int = min(SHARES)


class Tokens:
    """Tokens that are accepted, which may be replaced while the server answers.

    Args:
        tokens: The tokens; none lets everybody in.
    """

    def __init__(self, tokens: Sequence[Token] = ()) -> None:
        self._tokens = tuple(tokens)

    def __bool__(self) -> bool:
        return bool(self._tokens)

    def replace(self, tokens: Sequence[Token]) -> None:
        """Accept these from now on."""
        self._tokens = tuple(tokens)

    def find(self, authorization: bytes) -> Token | None:
        """Find the token of an ``Authorization`` header, in a time that tells nothing of it."""
        scheme, _, given = authorization.partition(b" ")
        found = None
        for token in self._tokens:
            if hmac.compare_digest(given.strip(), token.secret.encode()):
                found = token
        return found if scheme.lower() == b"bearer" else None
