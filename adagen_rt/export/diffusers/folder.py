"""A pipeline's folder: its parts, read with diffusers' and transformers' own classes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import diffusers
import torch
from torch import nn

from adagen_rt.errors import CheckpointError, RecipeError
from adagen_rt.export.diffusers.adapter import Adapter
from adagen_rt.export.diffusers.registry import find_adapter

INDEX = "model_index.json"
#: Libraries that parts may come from; what a folder brings itself is never run.
LIBRARIES = ("diffusers", "transformers")


def is_pipeline(path: Path) -> bool:
    """Tell whether a folder is a pipeline of diffusers."""
    return (path / INDEX).is_file()


@dataclass(frozen=True)
class PipelineFolder:
    """A folder whose index has been checked against the adapter of its pipeline.

    Attributes:
        path: The folder.
        index: Content of its index.
        adapter: What is known of the pipeline.
    """

    path: Path
    index: Mapping[str, Any]
    adapter: Adapter

    def has(self, part: str) -> bool:
        """Tell whether there is a part."""
        return bool((self.index.get(part) or [None])[0])

    @cached_property
    def config(self) -> Any:
        """The transformer's configuration, complete."""
        return self.configuration("transformer")

    def configuration(self, part: str) -> Any:
        """Read a network's configuration, with the defaults of its class.

        Raises:
            RecipeError: It cannot be read, or there is no such network.
        """
        kind = getattr(diffusers, self.adapter.networks[part])
        try:
            with torch.device("meta"):
                return kind.from_config(kind.load_config(self.path / part)).config
        except (OSError, ValueError, TypeError, RuntimeError) as error:
            raise RecipeError(f"{self.path / part}: {_one_line(error)}") from None

    def load(self, part: str) -> nn.Module | None:
        """Load a network in float32; None for an optional one that is not there.

        Raises:
            CheckpointError: There are no safetensors, or they do not fit.
        """
        if not self.has(part):
            return None
        library = import_module(self.index[part][0])
        kind = getattr(library, self.adapter.networks[part])
        name = "dtype" if library.__name__ == "transformers" else "torch_dtype"
        options: dict[str, Any] = {name: torch.float32, "use_safetensors": True}
        try:
            network = kind.from_pretrained(
                self.path / part, local_files_only=True, **_variant(self.path / part), **options
            )
        except (OSError, ValueError, TypeError, RuntimeError, KeyError) as error:
            raise CheckpointError(f"{self.path / part}: {_one_line(error)}") from None
        network.requires_grad_(False)
        return network.eval()


def open_pipeline(path: Path) -> PipelineFolder:
    """Read a pipeline's index.

    Raises:
        RecipeError: There is no adapter for the pipeline, or a part is of another class.
    """
    try:
        index = json.loads((path / INDEX).read_text(encoding="utf-8"))
        adapter = find_adapter(str(index["_class_name"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecipeError(f"{path / INDEX}: not a readable index ({error})") from None
    except RecipeError as error:
        raise RecipeError(f"{path / INDEX}: {error}") from None
    if faults := [*_part_faults(index, adapter)]:
        raise RecipeError(f"{path / INDEX}: {'; '.join(faults)}")
    return PipelineFolder(path, index, adapter)


def _part_faults(index: Mapping[str, Any], adapter: Adapter) -> Any:
    for part, expected in adapter.networks.items():
        found = index.get(part)
        if not found or not found[0]:
            if part not in adapter.optional:
                yield f"{part}: missing, expected {expected}"
        elif found[0] not in LIBRARIES or found[1] != expected:
            yield f"{part}: got {'.'.join(map(str, found))}, expected {expected}"


def _variant(folder: Path) -> dict[str, str]:
    """Name the variant of a folder that has no other weights."""
    names = {path.name for path in folder.glob("*.safetensors*")}
    for variant in ("fp16", "bf16"):
        if names and all(f".{variant}" in name for name in names):
            return {"variant": variant}
    return {}


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:400]
