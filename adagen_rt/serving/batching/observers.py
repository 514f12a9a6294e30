"""Observers of an engine, who must not harm it."""

from __future__ import annotations

import logging
from typing import Any

from adagen_rt.serving.batching.job import Observer

_log = logging.getLogger(__name__)


class Observers(list[Observer]):
    """Observers of all jobs and steps."""

    def tell(self, event: str, *facts: Any) -> None:
        """Tell every observer of an event."""
        for observer in list(self):
            try:
                # Not every observer notes looks into the cache.
                getattr(observer, event, _ignore)(*facts)
            except BaseException:
                # Whatever an observer raises, SystemExit too, must not stop the engine.
                _log.exception("an observer failed at %s", event)


def _ignore(*facts: Any) -> None:
    pass
