"""Atomic, safely loaded checkpoints and weight files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from adagen_rt.errors import CheckpointError


def replace_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Writes a sibling of `path`, forces it to disk and renames it over `path`.

    An interruption at any moment leaves the earlier file, if there was one, whole.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def save_checkpoint(state: dict[str, Any], path: Path) -> None:
    """Writes a dictionary of tensors and numbers."""
    replace_atomically(path, lambda temporary: torch.save(state, temporary))


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Reads what `save_checkpoint` wrote, without running any code in it.

    Raises:
        CheckpointError: The file is damaged or is no such checkpoint.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # A damaged archive can fail with an error of any type.
        raise CheckpointError(f"{path}: not a checkpoint of a training run: {error}") from error
    return state


def save_weights(state: dict[str, Tensor], path: Path) -> None:
    """Writes a state dict as safetensors."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    replace_atomically(path, lambda temporary: save_file(tensors, temporary))
