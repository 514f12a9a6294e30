"""What a file says about how its images were made; enough to make them again."""

from __future__ import annotations

import json
import mmap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from adagen_rt.condition import ClassLabels, ConditionSpec, count_rows
from adagen_rt.sampling.origin import KEY, Facts
from adagen_rt.sampling.result import Result
from adagen_rt.types import Arrays

#: Name of the text chunk of a PNG, and who wrote any other file.
MARK = "adagen-rt"
#: Exif: the software's name, the section that has a user's comment, and the comment.
SOFTWARE, EXIF, USER_COMMENT = 0x0131, 0x8769, 0x9286
#: How a user's comment says its encoding.
ASCII = b"ASCII\0\0\0"
#: What all images of a run have in common besides its engine's name and the version.
SHARED = (
    *("engine_hash", "backend", "provider", "precision"),
    *("steps", "schedule", "refine", "best_of", "reuse", "size"),
)
#: What a summary calls all samples' values of something.
COLUMNS = {
    **{"index": "indices", "label": "labels", "seed": "seeds", "fidelity": "fidelity"},
    **{"prompt": "prompts", "negative_prompt": "negative_prompts"},
}
#: What a JPEG says of itself has to fit into 64 KiB: of classes so many, and of prompts so many
#: characters.
MAX_JPEG_IMAGES, MAX_JPEG_WORDS = 200, 30_000


def sample_facts(result: Result, place: int) -> Facts:
    """List what one image was made of.

    Args:
        result: What was generated.
        place: Which image of it.
    """
    origin, condition = result.origin, result.condition
    facts: Facts = {"index": int(origin.numbers[place])}
    facts |= condition.describe(result.rows, place)
    if isinstance(condition, ClassLabels) and condition.names:
        facts["name"] = condition.names[facts["label"]]
    facts |= {"seed": int(result.seeds[place]), "fidelity": float(origin.fidelity[place])}
    if origin.facts.get("best_of", 1) > 1:
        facts["asked_seed"] = int(origin.seeds[place])
    return facts


def count_words(condition: ConditionSpec, rows: Arrays) -> int:
    """Count the characters that texts of samples take in a file's facts."""
    if isinstance(condition, ClassLabels):
        return 0
    count = count_rows(rows)
    return sum(len(json.dumps(condition.describe(rows, place))) for place in range(count))


def file_facts(result: Result, places: Iterable[int]) -> Facts:
    """List all that a file of some of the images has to say."""
    samples = [sample_facts(result, place) for place in places]
    return {**result.origin.facts, "samples": samples}


def picture_options(kind: str, facts: Facts) -> dict[str, Any]:
    """Make the options of Pillow's ``save`` that put facts into a picture.

    Args:
        kind: Pillow's name of the format.
        facts: What to say.
    """
    text = json.dumps(facts)
    if kind == "png":
        chunks = PngInfo()
        chunks.add_text("Software", MARK)
        chunks.add_text(MARK, text)
        return {"pnginfo": chunks}
    if kind == "gif":
        return {"comment": text.encode()}
    exif = Image.Exif()
    exif[SOFTWARE] = MARK
    exif[EXIF] = {USER_COMMENT: ASCII + text.encode()}
    return {"exif": exif.tobytes()}


def read_facts(path: Path) -> Facts | None:
    """Read what a file says of its images; None where it says nothing.

    Args:
        path: A picture, an .npz, a trace, or what ``generate --json`` or ``--json-lines`` printed.
    """
    try:
        if path.suffix.lower() == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                facts = json.loads(str(arrays[KEY]))
        elif _begins(path, b"{"):
            facts = _printed(path.read_text(encoding="utf-8"))
        else:
            facts = json.loads(_picture_text(path))
    except (KeyError, TypeError, ValueError, UnidentifiedImageError, RecursionError):
        return None
    return facts if _is_complete(facts) else None


def _begins(path: Path, text: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(text)) == text


def _printed(text: str) -> Any:
    """Read a trace, a summary, or a line for each image, as one object with ``samples``."""
    lines = [json.loads(line) for line in text.splitlines() if line.strip()]
    first = lines[0]
    if "samples" in first:
        return first
    if "index" in first:
        same = all(line.get(name) == first.get(name) for line in lines for name in SHARED)
        return {**first, "samples": lines} if same else None
    columns = {key: first[name] for key, name in COLUMNS.items() if name in first}
    rows = zip(*columns.values(), strict=True)
    return {**first, "samples": [dict(zip(columns, row, strict=True)) for row in rows]}


def _is_complete(facts: Any) -> bool:
    """Whether this package may have written it."""
    if not isinstance(facts, dict) or KEY not in facts:
        return False
    samples = facts.get("samples")
    if not isinstance(samples, list) or not samples:
        return False
    needed = {"index", "seed", "fidelity"}
    return all(isinstance(sample, dict) and needed <= sample.keys() for sample in samples)


def is_ours(path: Path) -> bool:
    """Whether this package wrote a file, of whatever kind."""
    if not path.stat().st_size:
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return any(content.find(mark.encode()) >= 0 for mark in (MARK, KEY))


def _picture_text(path: Path) -> str:
    with Image.open(path) as picture:
        if picture.format == "PNG":
            return str(picture.info[MARK])
        if picture.format == "GIF":
            return str(picture.info["comment"].decode())
        comment = picture.getexif().get_ifd(EXIF)[USER_COMMENT]
    return bytes(comment).removeprefix(ASCII).decode()
