"""Pickles that may come from anyone, read without running anything that they name.

A pickle can run code when it is read. PyTorch's weights-only mode accepts tensors and plain
containers. Training scripts keep their arguments, paths, dates and NumPy numbers beside the
weights; the globals of those are read as `Inert`, which does nothing with what it is given. A
file that needs more is refused, never retried in another mode.
"""

from __future__ import annotations

import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import torch

from adagen_rt.errors import CheckpointError


class Inert:
    """Stands for an object beside the weights, whose content nobody needs."""

    def __new__(cls, *given: object) -> Inert:
        """Forget what it would have been made of."""
        return super().__new__(cls)

    def __init__(self, *given: object) -> None:
        """As `__new__`."""

    def __setstate__(self, state: object) -> None:
        """Forget what it would have held."""


#: The only names besides PyTorch's own that a pickle may ask for. All become `Inert`.
INERT_GLOBALS = (
    "argparse.Namespace",
    "types.SimpleNamespace",
    "_codecs.encode",
    *(f"datetime.{name}" for name in ("date", "datetime", "time", "timedelta", "timezone")),
    *(
        f"{module}.{name}"
        for module in ("pathlib", "pathlib._local")
        for name in ("Path", "PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")
    ),
    *(
        f"{module}.multiarray.{name}"
        for module in ("numpy.core", "numpy._core")
        for name in ("scalar", "_reconstruct")
    ),
    *("numpy.dtype", "numpy.ndarray"),
    *(f"numpy.dtypes.{kind}DType" for kind in ("Bool", "Float16", "Float32", "Float64")),
    *(f"numpy.dtypes.{sign}Int{bits}DType" for sign in ("", "U") for bits in (8, 16, 32, 64)),
)


def read_pickle(path: Path) -> Any:
    """Read what PyTorch saved.

    Raises:
        CheckpointError: The file is damaged, or could run code.
    """
    archive = zipfile.is_zipfile(path)
    if archive:
        _check_archive(path)
    allowed: list[Any] = [(Inert, name) for name in INERT_GLOBALS]
    try:
        with torch.serialization.safe_globals(allowed):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=archive)
    except pickle.UnpicklingError as error:
        raise CheckpointError(f"{path}: {_refusal(error)}") from error
    except Exception as error:
        # A damaged pickle can fail with an error of any type.
        raise CheckpointError(
            f"{path}: damaged or not a PyTorch file ({type(error).__name__})"
        ) from error


def _check_archive(path: Path) -> None:
    """Refuse an archive that is larger inside than out; PyTorch never compresses."""
    try:
        with zipfile.ZipFile(path) as archive:
            inside = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise CheckpointError(f"{path}: damaged archive: {error}") from error
    if inside > path.stat().st_size:
        raise CheckpointError(
            f"{path}: got an archive of {inside} bytes, expected at most the file's own size"
        )


def _refusal(error: pickle.UnpicklingError) -> str:
    named = re.search(r"GLOBAL (\S+)", str(error))
    what = f"it asks for {named[1]}" if named else "it holds more than tensors"
    return f"refused, because reading it could run code: {what}; convert it to safetensors"
