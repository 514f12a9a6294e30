"""The set's making: captions, pictures, parts and files."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from adagen_rt.data import METADATA
from adagen_rt.data.emoji.captions import Caption, read_captions
from adagen_rt.data.emoji.packages import ARTWORK, CAPTIONS, PACKAGES, Package
from adagen_rt.data.emoji.pictures import Pictures, open_pictures, render
from adagen_rt.data.emoji.split import PARTS, part_of
from adagen_rt.files import staged_folder
from adagen_rt.progress import bar
from adagen_rt.sampling.encoding import write_picture
from adagen_rt.sampling.pictures import to_picture

#: Pictures in a folder.
SHARD = 1000
#: What the set is, and by whom.
MARKER = "dataset.json"


@dataclass(frozen=True)
class Entry:
    """A picture that is to be made."""

    caption: Caption
    pictures: Pictures
    part: str

    @property
    def prompt(self) -> str:
        """The words that ask for it, the style first."""
        return f"{self.pictures.style} style: {self.caption.label}"

    def facts(self, file: str) -> dict[str, Any]:
        """Describe it as a line of JSON does."""
        caption, pictures = self.caption, self.pictures
        return {
            "file_name": file,
            "prompt": self.prompt,
            "style": pictures.style,
            "label": caption.label,
            "tags": list(caption.tags),
            "group": caption.group,
            "skin_tone": list(caption.tone),
            "code": caption.code,
            "concept": caption.concept,
            "licence": pictures.licence,
            "author": pictures.author,
            "source": pictures.source(caption.code),
        }


def make_emoji(out: Path, packages: Path, size: int = 64) -> dict[str, int]:
    """Render the captioned set into a new folder, whole or not at all.

    A part is a folder of PNGs (size, size, 3), a thousand a subfolder, and `metadata.jsonl`.

    Args:
        out: The set's folder; an earlier set is replaced.
        packages: Folder with the archives of `PACKAGES`.
        size: Side of the pictures in pixels.

    Returns:
        How many pictures each part has.

    Raises:
        InputError: A package is missing or damaged, or `out` is something else.
        MissingExtraError: The renderer is not installed.
    """
    entries = plan({name: Package(packages, name) for name in PACKAGES})
    counts = Counter(dict.fromkeys(PARTS, 0))
    with staged_folder(out, MARKER) as folder:
        files: dict[str, TextIO] = {}
        for part in PARTS:
            (folder / part).mkdir()
            files[part] = (folder / part / METADATA).open("w", encoding="utf-8")
        for entry in bar(entries, unit="picture", leave=False):
            file = _write(entry, folder, counts[entry.part], size)
            line = json.dumps(entry.facts(file), ensure_ascii=False)
            print(line, file=files[entry.part])
            counts[entry.part] += 1
        for opened in files.values():
            opened.close()
        _describe(folder, entries, size, counts)
    return dict(counts)


def plan(packages: dict[str, Package]) -> list[Entry]:
    """Pair every caption with every style that draws it."""
    styles = [open_pictures(artwork, packages) for artwork in ARTWORK]
    captions = read_captions(packages[CAPTIONS])
    drawn: dict[str, set[str]] = {}
    for caption in captions:
        names = {one.style for one in styles if caption.code in one.names}
        drawn.setdefault(caption.concept, set()).update(names)
    return list(_entries(captions, styles, drawn))


def _entries(
    captions: list[Caption], styles: list[Pictures], drawn: dict[str, set[str]]
) -> Iterator[Entry]:
    for caption in captions:
        for pictures in styles:
            if caption.code in pictures.names:
                part = part_of(caption.concept, pictures.style, drawn[caption.concept])
                yield Entry(caption, pictures, part)


def _write(entry: Entry, folder: Path, number: int, size: int) -> str:
    pixels = render(entry.pictures.svg(entry.caption.code), size)
    name = f"{number // SHARD:03d}/{number:06d}.png"
    path = folder / entry.part / name
    path.parent.mkdir(exist_ok=True)
    write_picture(path, to_picture(pixels), "png")
    return name


def _describe(folder: Path, entries: list[Entry], size: int, counts: Counter[str]) -> None:
    styles = {entry.pictures.style: entry.pictures for entry in entries}
    record = {
        "size": size,
        "pictures": dict(counts),
        "captions": f"{CAPTIONS}@{PACKAGES[CAPTIONS]} (MIT)",
        "styles": {
            style: {
                "package": f"{pictures.package.name}@{pictures.package.version}",
                "licence": pictures.licence,
                "author": pictures.author,
            }
            for style, pictures in styles.items()
        },
    }
    (folder / MARKER).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
