"""Pictures with captions: a folder with lines of JSON, or webdataset's shards."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from adagen_rt.data import METADATA
from adagen_rt.errors import InputError
from adagen_rt.evaluation.folder import SUFFIXES, FolderPixels, TarMember
from adagen_rt.extent import Extent

#: Where a line of JSON may have the caption; the first that is there is taken.
CAPTIONS = ("prompt", "text", "caption")
Pair = tuple[Path | TarMember, str]


@dataclass(frozen=True)
class Captioned:
    """Pictures that are read when they are needed, and what they show.

    Attributes:
        pixels: The pictures.
        captions: Their captions.
    """

    pixels: FolderPixels
    captions: tuple[str, ...]


def load_captioned(folder: str | Path, size: Extent, channels: int = 3) -> Captioned:
    """Open a captioned set.

    Args:
        folder: Has `metadata.jsonl` (or `train/metadata.jsonl`), a line a picture with
            ``file_name`` and ``prompt``, ``text`` or ``caption``; or shards of webdataset
            (`*.tar`), in which a picture and a `.txt` or `.json` with its caption have the same
            name.
        size: Size to which the pictures are brought, as `cover` does.
        channels: 1 for grey, 3 for colour.

    Raises:
        InputError: It is neither, has no captioned picture, or a caption cannot be read.
    """
    folder = Path(folder)
    for part in (folder / "train", folder):
        if (part / METADATA).is_file():
            pairs = list(_lines(part))
            break
    else:
        pairs = [pair for tar in sorted(folder.glob("*.tar")) for pair in _shard(tar)]
    if not pairs:
        expected = f"a folder with {METADATA}, or with tars of pictures and their captions"
        raise InputError("--data", str(folder), expected)
    paths, captions = zip(*pairs, strict=True)
    return Captioned(FolderPixels(paths, size, channels), captions)


def _lines(part: Path) -> Iterator[Pair]:
    path = part / METADATA
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                facts = json.loads(line)
                yield part / PurePosixPath(facts["file_name"]), _caption(facts)
            except (ValueError, KeyError, TypeError) as error:
                expected = f"JSON with file_name and one of {', '.join(CAPTIONS)} ({error!r})"
                raise InputError(f"{path}, line {number}", line.strip()[:80], expected) from None


def _shard(path: Path) -> Iterator[Pair]:
    """List the pictures of a shard that have a caption, in its order."""
    found: dict[str, dict[str, TarMember]] = {}
    try:
        with tarfile.open(path, "r:") as tar:
            for entry in tar:
                name, _, kind = PurePosixPath(entry.name).name.partition(".")
                key = str(PurePosixPath(entry.name).with_name(name)) if name else entry.name
                member = TarMember(path, entry.name, entry.offset_data, entry.size)
                if entry.isfile():
                    found.setdefault(key, {})[f".{kind.lower()}"] = member
    except (tarfile.TarError, OSError, EOFError) as error:
        raise InputError("--data", str(path), f"a tar that is not compressed ({error})") from None
    for members in found.values():
        picture = next((members[suffix] for suffix in SUFFIXES if suffix in members), None)
        text = members.get(".txt") or members.get(".json")
        if picture is not None and text is not None:
            yield picture, _read(text)


def _read(member: TarMember) -> str:
    try:
        content = member.read().decode("utf-8")
        return content.strip() if member.name.endswith(".txt") else _caption(json.loads(content))
    except (ValueError, KeyError, TypeError) as error:
        expected = f"a text, or JSON with one of {', '.join(CAPTIONS)} ({error!r})"
        raise InputError(f"{member.tar}", member.name, expected) from None


def _caption(facts: Mapping[str, Any]) -> str:
    for name in CAPTIONS:
        if isinstance(facts.get(name), str):
            return str(facts[name])
    raise KeyError("caption")
