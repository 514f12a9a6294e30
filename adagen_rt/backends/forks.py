"""Let forked children end, although they lack the threads that the libraries' sessions wait for."""

from __future__ import annotations

import ctypes
import os
import weakref
from typing import Any

_sessions: weakref.WeakSet[Any] = weakref.WeakSet()


def survive_forks(*sessions: Any) -> None:
    """Have objects of a library with threads leak in every child.

    Their destructors would wait there for threads of the parent.
    """
    _sessions.update(sessions)


def _leak() -> None:
    if not _sessions:
        return
    for session in list(_sessions):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(session))
    library = ctypes.CDLL(None)
    # Runs after Python has ended, and in the place of the libraries' own destructors.
    if hasattr(library, "on_exit"):  # glibc's
        library.on_exit(library._exit, None)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leak)
