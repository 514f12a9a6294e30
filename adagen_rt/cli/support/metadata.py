"""What a file says about how its images were made; enough to make them again."""

from __future__ import annotations

import json
import mmap
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from adagen_rt.cli.support.backend_options import Execution
from adagen_rt.cli.support.made import Facts, Made
from adagen_rt.condition import ClassLabels
from adagen_rt.engine.folder import EngineFolder
from adagen_rt.sampling.request import Request

#: Name of the text chunk of a PNG, and who wrote any other file.
MARK = "adagen-rt"
#: Name of the array of an .npz, and the key of the version in the JSON.
KEY = "adagen_rt"
#: Exif: the software's name, the section that has a user's comment, and the comment.
SOFTWARE, EXIF, USER_COMMENT = 0x0131, 0x8769, 0x9286
#: How a user's comment says its encoding.
ASCII = b"ASCII\0\0\0"
#: What a JPEG says of itself has to fit into 64 KiB.
MAX_JPEG_IMAGES = 200


def run_facts(engine: EngineFolder, request: Request, execution: Execution) -> Facts:
    """List what all images of a run have in common."""
    params = request.params
    return {
        KEY: version("adagen-rt"),
        "engine": engine.manifest.name,
        "engine_hash": engine.hash,
        "backend": execution.backend,
        **({"provider": execution.provider} if execution.provider else {}),
        "steps": params.steps,
        "schedule": params.schedule,
        "refine": params.refine,
        "best_of": params.best_of,
    }


def sample_facts(made: Made, place: int) -> Facts:
    """List what one image was made of.

    Args:
        made: What was generated.
        place: Which image of it.
    """
    request, result, condition = made.request, made.result, made.manifest.condition
    facts: Facts = {"index": int(made.numbers[place])}
    facts |= condition.describe(request.rows, place)
    if isinstance(condition, ClassLabels) and condition.names:
        facts["name"] = condition.names[facts["label"]]
    facts |= {"seed": int(result.seeds[place]), "fidelity": float(request.fidelity[place])}
    if request.params.best_of > 1:
        facts["asked_seed"] = int(request.seeds[place])
    return facts


def file_facts(made: Made, places: Iterable[int]) -> Facts:
    """List all that a file of some of the images has to say."""
    return {**made.facts, "samples": [sample_facts(made, place) for place in places]}


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
    """Read what a picture, an .npz or a trace says of itself; None where it says nothing."""
    suffix = path.suffix.lower()
    try:
        if suffix == ".json":
            text = path.read_text(encoding="utf-8")
        elif suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                text = str(arrays[KEY])
        else:
            text = _picture_text(path)
        facts = json.loads(text)
    except (KeyError, ValueError, UnidentifiedImageError, RecursionError):
        return None
    return facts if _is_complete(facts) else None


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
