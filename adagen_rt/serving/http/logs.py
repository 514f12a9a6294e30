"""Logs as one JSON object a line."""

from __future__ import annotations

import json
import logging
import time
from datetime import datetime, timezone
from typing import Any


class JSONFormatter(logging.Formatter):
    """Time, level, message, and the ``fields`` that a record carries."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record as one line, whatever the message contains."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class Levels(logging.Filter):
    """Levels that a log has, under Triton's names of them; one may be left out.

    Attributes:
        chosen: Whether lines of each are written.
    """

    def __init__(self) -> None:
        super().__init__()
        self.chosen = {"log_info": True, "log_warning": True, "log_error": True}

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a record is written."""
        if record.levelno >= logging.ERROR:
            return self.chosen["log_error"]
        return self.chosen["log_warning" if record.levelno >= logging.WARNING else "log_info"]


def own_levels() -> Levels | None:
    """Find the levels of the log that `log_json` has set up; None where it has not."""
    filters = [one for handler in logging.getLogger().handlers for one in handler.filters]
    return next((one for one in filters if isinstance(one, Levels)), None)


class Repeated:
    """A message that may come thousands of times a second, and is logged once a second.

    Args:
        log: Where it goes.
        message: What happened.
    """

    def __init__(self, log: logging.Logger, message: str) -> None:
        self._log = log
        self._message = message
        self._count = 0
        self._next = 0.0

    def log(self, **fields: Any) -> None:
        """Count one, and log how many there were since the last line."""
        self._count += 1
        now = time.monotonic()
        if now < self._next:
            return
        told = {**fields, "times": self._count}
        self._log.warning(self._message, extra={"fields": told})
        self._count, self._next = 0, now + 1


def log_json() -> None:
    """Send the logs of the whole process to stderr as JSON."""
    handler = logging.StreamHandler()
    handler.setFormatter(JSONFormatter())
    handler.addFilter(Levels())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
