"""Formats of a shard: how its images are written, and read again to be merged."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from adagen_rt.errors import needs_extra
from adagen_rt.sampling.encoding import encode
from adagen_rt.sampling.facts import file_facts, sample_facts
from adagen_rt.sampling.origin import KEY
from adagen_rt.sampling.pictures import good_arrays, save_arrays
from adagen_rt.sampling.result import Images, Result
from adagen_rt.sampling.saving import save_folder

#: Says how a shard's images were made, in a shard that is a folder.
MARKER = "shard.json"
PICTURE = ".png"
#: What is said of some samples alone has no column.
SOMETIMES = ("cut",)
#: What the library datasets is told of the columns.
FEATURES = {"image": {"_type": "Image"}}


@dataclass(frozen=True)
class Format:
    """How a shard is written.

    Attributes:
        suffix: How its name ends.
        write: Writes the good images of a result, of a job of so many, to a path.
        read: Reads the images again, in order, a few at a time.
        marker: The file that makes a folder a shard; None for a shard that is a file.
    """

    suffix: str
    write: Callable[[Path, Result, int], object]
    read: Callable[[Path], Iterator[Images]]
    marker: str | None = None


def _write_arrays(path: Path, result: Result, total: int) -> None:
    facts = np.array(json.dumps(file_facts(result, result.good)))
    save_arrays(path, {**good_arrays(result), KEY: facts})


def _read_arrays(path: Path) -> Iterator[Images]:
    with np.load(path, allow_pickle=False) as arrays:
        yield arrays["images"]


def _write_tar(path: Path, result: Result, total: int) -> None:
    """Write what the library webdataset reads: the files of a sample have one name."""
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for place in result.good:
            facts = file_facts(result, [place])
            asked = result.condition.describe(result.rows, place)
            parts = {"png": encode(result.images[place]), "json": json.dumps(facts).encode()}
            if "label" in asked:
                parts["cls"] = str(asked["label"]).encode()
            else:
                parts["txt"] = str(asked.get("prompt", result.describe(place))).encode()
            for ending, content in parts.items():
                # Owner and time of a new entry are nobody's and none, so bytes are the same again.
                entry = tarfile.TarInfo(f"{int(result.origin.numbers[place]):012}.{ending}")
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))


def _read_tar(path: Path) -> Iterator[Images]:
    with tarfile.open(path) as archive:
        for entry in archive:
            content = archive.extractfile(entry)
            if content is not None and entry.name.endswith(PICTURE):
                with closing(content):
                    yield _pixels(content)


def _write_table(path: Path, result: Result, total: int) -> None:
    """Write columns that the library datasets reads, and takes one of for pictures."""
    pa, parquet = _pyarrow()
    rows = [sample_facts(result, place) for place in result.good]
    pictures = [
        {"bytes": encode(result.images[place]), "path": f"{row['index']:012}{PICTURE}"}
        for place, row in zip(result.good, rows, strict=True)
    ]
    columns = {name: [row.get(name) for row in rows] for name in sample_facts_names(result)}
    image = pa.array(pictures, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    table = pa.table({"image": image, **columns})
    about = {"huggingface": json.dumps({"info": {"features": FEATURES}})}
    about[KEY] = json.dumps(result.origin.facts)
    parquet.write_table(table.replace_schema_metadata(about), path)


def sample_facts_names(result: Result) -> list[str]:
    """Name what is said of every sample, also of a shard in which all failed."""
    return [name for name in sample_facts(result, 0) if name not in SOMETIMES]


def _read_table(path: Path) -> Iterator[Images]:
    _, parquet = _pyarrow()
    with parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(64, columns=["image"]):
            for picture in batch.column(0).to_pylist():
                yield _pixels(io.BytesIO(picture["bytes"]))


def _write_folder(path: Path, result: Result, total: int) -> None:
    save_folder(path, result, total, PICTURE)
    text = json.dumps(file_facts(result, result.good), indent=2) + "\n"
    (path / MARKER).write_text(text, encoding="utf-8")


def _read_folder(path: Path) -> Iterator[Images]:
    for picture in sorted(path.glob(f"*{PICTURE}")):
        with picture.open("rb") as content:
            yield _pixels(content)


def _pixels(content: Any) -> Images:
    with Image.open(content) as picture:
        pixels = np.asarray(picture)
    return pixels.reshape(1, *pixels.shape[:2], -1)


def _pyarrow() -> tuple[Any, Any]:
    with needs_extra("bulk", "pyarrow"):
        import pyarrow
        from pyarrow import parquet
    return pyarrow, parquet


def check_format(name: str) -> Format:
    """Return a format if what writes it is installed.

    Raises:
        MissingExtraError: It is not.
    """
    if name == "parquet":
        _pyarrow()
    return FORMATS[name]


FORMATS = {
    "npz": Format(".npz", _write_arrays, _read_arrays),
    "tar": Format(".tar", _write_tar, _read_tar),
    "parquet": Format(".parquet", _write_table, _read_table),
    "folder": Format("", _write_folder, _read_folder, MARKER),
}
