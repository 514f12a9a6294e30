"""Pauses of the interpreter, during which nobody is answered."""

from __future__ import annotations

import gc
import sys

#: Seconds after which a thread that computes lets others run. An answer takes several turns of the
#: event loop, and each waits for that.
SWITCH_SECONDS = 0.001


def shorten_pauses() -> None:
    """Keep the pauses of this process short; called once, before engines are loaded.

    What there is by then is left out of garbage collections from now on: modules and the
    application, a hundred thousand objects, take a tenth of a second each time. Engines are few
    objects, and are collected when others have taken their place.
    """
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(SWITCH_SECONDS)
