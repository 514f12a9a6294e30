"""Bars for people who wait, and nothing for logs."""

from __future__ import annotations

from typing import Any

from tqdm import tqdm


class _Switch:
    """Whether bars are off for the whole process."""

    off = False


def silence(off: bool = True) -> None:
    """Show no bars in this process, or show them again."""
    _Switch.off = off


def bar(*arguments: Any, hidden: bool = False, **options: Any) -> Any:
    """Make a `tqdm` bar on stderr; it is hidden where stderr is no terminal.

    Args:
        arguments: What it iterates over, if anything.
        hidden: Hide it in any case.
        options: Those of `tqdm`.
    """
    make: Any = tqdm
    # None asks tqdm to look whether anybody sees it.
    return make(*arguments, disable=True if hidden or _Switch.off else None, **options)
