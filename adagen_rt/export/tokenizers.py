"""The tokenizers of a recipe, which its engine has beside its graphs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from adagen_rt.condition import ConditionSpec
from adagen_rt.errors import InputError


def find_tokenizers(condition: ConditionSpec, folders: Sequence[Path]) -> list[Path]:
    """Find the files that a condition reads, and read each once.

    Args:
        condition: The kind of condition.
        folders: Where the weights lie; the first folder that has all files is taken.

    Raises:
        EngineError: One is damaged.
        InputError: They are in no folder.
    """
    names = condition.files
    if not names:
        return []
    for folder in folders:
        if all((folder / name).is_file() for name in names):
            condition.within(folder).load()
            return [folder / name for name in names]
    given = [str(folder) for folder in folders] or None
    raise InputError("weights", given, f"a folder with {', '.join(names)}; no seed makes them")
