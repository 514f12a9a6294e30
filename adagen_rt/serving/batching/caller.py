"""Who asks for an image, among whom an engine is shared fairly."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from adagen_rt.errors import as_integer

#: Share of each priority level: one of 1 gets as much as four of 2. Nobody starves.
SHARES = {1: 4.0, 2: 1.0, 3: 0.25}
NORMAL = 2


@dataclass(frozen=True)
class Caller:
    """Who asks.

    Clients get equal shares of an engine, whatever they ask for, and so do the requests of each.

    Attributes:
        client: Name of the client; all that is asked without one counts as one client.
        request: What images that were asked for together have in common; None makes an image a
            request by itself.
        priority: 1 (high), 2 (normal) or 3 (low).
    """

    client: Hashable = None
    request: Hashable = None
    priority: int = NORMAL

    def __post_init__(self) -> None:
        as_integer("priority", self.priority, min(SHARES), max(SHARES))

    @property
    def share(self) -> float:
        """Share of the engine, relative to the usual one."""
        return SHARES[self.priority]
