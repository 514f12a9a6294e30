"""What an emoji shows, in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from adagen_rt.data.emoji.packages import Package

#: emojibase's group of what is no picture by itself: skin tones and hair.
COMPONENTS = "component"
TONES = ("light", "medium-light", "medium", "medium-dark", "dark")


@dataclass(frozen=True)
class Caption:
    """An emoji in words.

    Attributes:
        code: Its code points, as `1f44b-1f3fb`.
        concept: The code points without a skin tone, which all tones of it share.
        label: Its name, as `waving hand: light skin tone`.
        tags: Words that people look for it by.
        group: Kind of thing, as `people-body`.
        tone: Names of its skin tones.
    """

    code: str
    concept: str
    label: str
    tags: tuple[str, ...]
    group: str
    tone: tuple[str, ...] = ()


def read_captions(package: Package) -> list[Caption]:
    """Read every emoji's caption, skin tones included, in the order of its code points."""
    entries, meta = package.read("en/data.json", "meta/groups.json")
    groups = {int(number): name for number, name in meta["groups"].items()}
    captions = (
        caption
        for entry in entries
        if "group" in entry and groups[entry["group"]] != COMPONENTS
        for caption in _captions(entry, groups[entry["group"]])
    )
    return sorted(captions, key=lambda caption: caption.code)


def plain_code(code: str) -> str:
    """Write code points without the selector of colour, which packages use as they like."""
    return "-".join(part for part in code.lower().split("-") if part != "fe0f")


def _captions(entry: dict[str, Any], group: str) -> Iterator[Caption]:
    concept, tags = plain_code(entry["hexcode"]), tuple(entry.get("tags", ()))
    yield Caption(concept, concept, entry["label"], tags, group)
    for skin in entry.get("skins", ()):
        tones = skin["tone"] if isinstance(skin["tone"], list) else [skin["tone"]]
        names = tuple(TONES[tone - 1] for tone in tones)
        yield Caption(plain_code(skin["hexcode"]), concept, skin["label"], tags, group, names)
