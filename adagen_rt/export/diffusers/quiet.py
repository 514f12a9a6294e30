"""Libraries that say nothing while they load: an export tells its own progress."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from logging import CRITICAL
from typing import Any


@contextmanager
def quiet_libraries(names: tuple[str, ...]) -> Iterator[None]:
    """Silence warnings, logs and progress bars of Hugging Face's libraries in the block.

    Args:
        names: The libraries, which have the same switches.
    """
    with ExitStack() as stack, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in names:
            stack.enter_context(_quiet(import_module(f"{name}.utils.logging")))
        yield


@contextmanager
def _quiet(switches: Any) -> Iterator[None]:
    level, bars = switches.get_verbosity(), switches.is_progress_bar_enabled()
    switches.set_verbosity(CRITICAL)
    switches.disable_progress_bar()
    try:
        yield
    finally:
        switches.set_verbosity(level)
        if bars:
            switches.enable_progress_bar()
