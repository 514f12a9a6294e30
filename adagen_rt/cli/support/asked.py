"""What images are asked for, from a file with a line each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from adagen_rt.condition import Asked, ConditionSpec
from adagen_rt.errors import InputError

#: How the name of a file of JSON objects ends, and what an object may say besides the condition.
OBJECTS, NEGATIVE = ".jsonl", "negative_prompt"


def read_asked(condition: ConditionSpec, path: Path, negative: str | None) -> tuple[Any, ...]:
    """Read the conditions of a file: a class or prompt a line, or an object of JSON a line.

    Args:
        condition: The engine's kind of condition.
        path: The file; of one that ends in ``.jsonl``, objects have ``label``, or ``prompt`` and
            maybe ``negative_prompt``.
        negative: The negative prompt of lines that have none; None takes the engine's own.

    Raises:
        InputError: It is no such file, or asks for what the engine does not have.
    """
    noun, lines = condition.noun, read_lines("from", path)
    negatives: Any = negative
    given: list[Any] = list(lines)
    if path.suffix.lower() == OBJECTS:
        name = noun.removesuffix("s")
        objects = [
            _read_object(line, f"{path}, line {number}", name)
            for number, line in enumerate(lines, 1)
        ]
        given = [one[name] for one in objects]
        found = [one.get(NEGATIVE, negative) for one in objects]
        negatives = found if any(text is not None for text in found) else None
    asked: dict[str, Any] = {noun: given, f"{NEGATIVE}s": negatives}
    conditions = tuple(condition.given(Asked(**asked)))
    _check(condition, conditions, path)
    return conditions


def _check(condition: ConditionSpec, asked: tuple[Any, ...], path: Path) -> None:
    """Refuse what the engine does not take, by the line that asks for it."""
    try:
        condition.parse(list(dict.fromkeys(asked)))
    except InputError:
        for number, one in enumerate(asked, 1):
            try:
                condition.parse([one])
            except InputError as error:
                error.args = (f"{path}, line {number}: {error}",)
                raise
        raise


def _read_object(line: str, place: str, name: str) -> dict[str, Any]:
    """Read one line's object, which has the condition under its name."""
    kinds: dict[str, tuple[type, ...]] = {name: (str,), NEGATIVE: (str,)}
    expected = f'{{"{name}": ...}}, or with "{NEGATIVE}" too'
    if name == "label":
        kinds, expected = {name: (str, int)}, '{"label": ...}, by number or name'
    try:
        found = json.loads(line, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise InputError("from", f"{place}: no JSON, or a name twice", expected) from None
    if not isinstance(found, dict) or name not in found or found.keys() - kinds.keys():
        told = sorted(found) if isinstance(found, dict) else type(found).__name__
        raise InputError("from", f"{place}: {told}", expected)
    for key, value in found.items():
        if not isinstance(value, kinds[key]) or isinstance(value, bool):
            raise InputError("from", f"{place}: {key} {value!r}", expected)
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError
    return found


def split_lines(text: str) -> list[str]:
    """Split at line feeds alone: a prompt may have other characters that end lines for Python."""
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    return lines if lines[-1] else lines[:-1]


def read_lines(field: str, path: Path) -> list[str]:
    """Read a text file of UTF-8: a class or prompt a line, in the order of the images.

    Raises:
        InputError: It has no lines, an empty one, or is no such file.
    """
    try:
        lines = split_lines(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InputError(field, str(path), f"a text file of UTF-8 ({error.reason})") from None
    if not lines:
        raise InputError(field, str(path), "a file with a line for each image")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            raise InputError(field, f"{path}, line {number}: nothing", "a class or prompt a line")
    return [line.strip() for line in lines]
