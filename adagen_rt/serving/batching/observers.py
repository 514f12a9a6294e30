"""Telling of observers, who must not harm the engine that they observe."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from adagen_rt.serving.batching.job import Observer

_log = logging.getLogger(__name__)


def tell(observers: Sequence[Observer], event: str, *facts: Any) -> None:
    """Tell every observer of an event."""
    for observer in observers:
        try:
            getattr(observer, event)(*facts)
        except BaseException:
            # Whatever an observer raises, SystemExit too, must not stop the engine.
            _log.exception("an observer failed at %s", event)
