"""Atomic, safely loaded checkpoints and weight files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from adagen_rt.errors import CheckpointError
from adagen_rt.files import replace_file


def save_checkpoint(state: dict[str, Any], path: Path) -> None:
    """Write a dictionary of tensors and numbers."""
    replace_file(path, lambda temporary: torch.save(state, temporary))


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint of `save_checkpoint`, without running any code in it.

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
    """Write a state dict as safetensors."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    replace_file(path, lambda temporary: save_file(tensors, temporary))
