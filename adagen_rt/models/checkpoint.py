"""Reading weight files that may come from anyone, and fitting them to a module.

A pickle can run code when it is read. Only tensors and plain containers are accepted,
in PyTorch's weights-only mode; a file that needs more is refused, never retried in
another mode.
"""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from adagen_rt.errors import CheckpointError

PICKLE_SUFFIXES = (".pth", ".pt", ".ckpt")
WRAPPERS = ("ema", "state_dict", "model")
"""Keys under which training scripts keep a network, the averaged one first."""
MAX_HEADER = 8 << 20
"""Longest safetensors header accepted, in bytes; VAR-d30's has 402 tensors in 40 kB."""


def load_state(path: str | Path) -> dict[str, Tensor]:
    """Read a weight file.

    Args:
        path: A `.safetensors` file, or a `.pth`, `.pt` or `.ckpt` file that holds a state
            dict, bare or under one of `WRAPPERS`.

    Returns:
        Tensors by name, on the CPU. They may be views of the mapped file.

    Raises:
        CheckpointError: The file is missing, damaged, or could run code.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")
    if path.suffix == ".safetensors":
        return _load_safetensors(path)
    if path.suffix in PICKLE_SUFFIXES:
        return _state_dict(_load_pickle(path), path)
    expected = ", ".join((".safetensors", *PICKLE_SUFFIXES))
    raise CheckpointError(f"{path}: got a file name ending {path.suffix!r}, expected {expected}")


def load_strict(module: nn.Module, state: Mapping[str, Tensor], ignore: Sequence[str] = ()) -> None:
    """Load a state into a module that it must fit exactly.

    A module laid out on the meta device takes the state's tensors as its own, so that
    large weights are in memory once. Floating tensors take the module's dtype.

    Args:
        module: The module, changed only if everything fits.
        state: Tensors by name.
        ignore: Prefixes of names that may be missing or left over, for example an
            encoder that the module does not have.

    Raises:
        CheckpointError: Lists every missing, unexpected and ill-fitting tensor.
    """
    expected = module.state_dict()
    faults = _faults(_without(expected, ignore), _without(state, ignore))
    if faults:
        raise CheckpointError(f"weights do not fit {type(module).__name__}: {'; '.join(faults)}")
    fitting = {
        name: state[name].to(value.dtype) for name, value in expected.items() if name in state
    }
    meta = any(value.is_meta for value in expected.values())
    module.load_state_dict(fitting, strict=False, assign=meta)


def _without(state: Mapping[str, Tensor], ignore: Sequence[str]) -> dict[str, Tensor]:
    prefixes = tuple(ignore)
    return {name: value for name, value in state.items() if not name.startswith(prefixes)}


def _faults(expected: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> list[str]:
    """Describe every way in which a state differs from what is expected."""
    faults = []
    if missing := sorted(expected.keys() - state.keys()):
        faults.append(f"missing {', '.join(missing)}")
    if unexpected := sorted(state.keys() - expected.keys()):
        faults.append(f"unexpected {', '.join(unexpected)}")
    for name in sorted(expected.keys() & state.keys()):
        got, want = state[name], expected[name]
        if got.shape != want.shape:
            faults.append(f"{name}: got shape {list(got.shape)}, expected {list(want.shape)}")
        elif got.is_floating_point() != want.is_floating_point():
            faults.append(f"{name}: got {got.dtype}, expected {want.dtype}")
    return faults


def _load_safetensors(path: Path) -> dict[str, Tensor]:
    size = path.stat().st_size
    with path.open("rb") as file:
        header = int.from_bytes(file.read(8), "little")
    # Parsing costs time and memory in proportion to the header, whatever it holds.
    limit = min(size - 8, MAX_HEADER)
    if header > limit:
        raise CheckpointError(
            f"{path}: got a safetensors header of {header} bytes, expected at most {max(limit, 0)}"
        )
    try:
        return load_file(path)
    except SafetensorError as error:
        raise CheckpointError(f"{path}: not a valid safetensors file: {error}") from error


def _load_pickle(path: Path) -> Any:
    archive = zipfile.is_zipfile(path)
    if archive:
        _check_archive(path)
    try:
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


def _state_dict(loaded: Any, path: Path) -> dict[str, Tensor]:
    """Unwrap what a pickle held down to tensors by name."""
    while isinstance(loaded, Mapping):
        inner = next(
            (loaded[key] for key in WRAPPERS if isinstance(loaded.get(key), Mapping)), None
        )
        if inner is None:
            break
        loaded = inner
    if not isinstance(loaded, Mapping) or not loaded:
        raise CheckpointError(f"{path}: got {type(loaded).__name__}, expected tensors by name")
    wrong = [f"{key!r}: {type(v).__name__}" for key, v in loaded.items() if not _is_entry(key, v)]
    if wrong:
        raise CheckpointError(f"{path}: expected tensors by name, got {', '.join(wrong)}")
    return dict(loaded)


def _is_entry(key: Any, value: Any) -> bool:
    return isinstance(key, str) and isinstance(value, Tensor)
