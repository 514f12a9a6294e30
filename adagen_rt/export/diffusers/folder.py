"""A pipeline's folder: its parts, read with diffusers' and transformers' own classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import nn

from adagen_rt.errors import CheckpointError, RecipeError, shown
from adagen_rt.export.diffusers.adapter import Adapter
from adagen_rt.export.diffusers.objects import read_object
from adagen_rt.export.diffusers.quiet import quiet_libraries
from adagen_rt.export.diffusers.registry import find_adapter
from adagen_rt.export.diffusers.weights import check_files, read_network
from adagen_rt.models.seeded import seeded_fill

INDEX, CONFIG = "model_index.json", "config.json"
SCHEDULER = "scheduler"
#: Libraries that parts may come from; what a folder brings itself is never run.
LIBRARIES = ("diffusers", "transformers")
#: The device of tensors that have no memory.
META = "meta"


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
        seeded: A tag that determines every weight, instead of the files.
        weightless: Whether networks have no weights, on the device `meta`.
    """

    path: Path
    index: Mapping[str, Any]
    adapter: Adapter
    seeded: str | None = None
    weightless: bool = False

    def has(self, part: str) -> bool:
        """Tell whether there is a part."""
        return self.index.get(part) not in (None, [None, None])

    @cached_property
    def config(self) -> Any:
        """The transformer's configuration, complete."""
        return self.configuration("transformer")

    def configuration(self, part: str) -> Any:
        """Read a network's configuration, with the defaults of its class.

        Raises:
            RecipeError: It cannot be read, or there is no such network.
        """
        return self.laid_out(part, META).config

    def laid_out(self, part: str, device: str = "cpu") -> Any:
        """Make a network of its configuration, with fresh weights.

        Raises:
            RecipeError: The configuration cannot be read, or there is no such network.
        """
        kind, folder = self._kind(part), self.path / part
        given = read_object(folder / CONFIG, "configuration").get("_class_name", kind.__name__)
        if given != kind.__name__:
            expected = f"{kind.__name__}, as in {INDEX}"
            raise RecipeError(f"{folder}: _class_name: got {shown(given)}, expected {expected}")
        try:
            with torch.device(device), quiet_libraries(LIBRARIES):
                network = _laid_out(kind, folder)
        except Exception as error:  # the libraries raise nothing more exact
            raise RecipeError(f"{folder}: {one_line(error)}") from None
        if getattr(network.config, "quantization_config", None) is not None:
            raise RecipeError(f"{folder}: quantization_config: got one, expected plain weights")
        return network

    def load(self, part: str) -> nn.Module | None:
        """Load a network in float32; None for an optional one that is not there.

        Raises:
            CheckpointError: There are no safetensors, or they do not fit.
        """
        if not self.has(part):
            return None
        if self.weightless:
            network = self.laid_out(part, META)
        elif self.seeded is None:
            network = self._read(part)
        else:
            network = self.laid_out(part)
            seeded_fill(network, self.seeded, f"{self.adapter.pipeline}/{part}")
        network.requires_grad_(False)
        return network.eval()

    def check(self) -> None:
        """Check the configurations of all parts.

        Raises:
            RecipeError: One cannot be read.
        """
        for part in self.parts:
            self.configuration(part)

    def check_weights(self) -> None:
        """Check the files of all weights by their headers.

        Raises:
            CheckpointError: As for `load`.
        """
        for part in self.parts if self.seeded is None else ():
            check_files(self.path / part)

    @property
    def scheduler(self) -> str:
        """Name of the scheduler's class."""
        return str(self.index[SCHEDULER][-1])

    @property
    def parts(self) -> list[str]:
        """Names of the networks that are there."""
        return [part for part in self.adapter.networks if self.has(part)]

    def _kind(self, part: str) -> Any:
        library = import_module(self.index[part][0])
        return getattr(library, self.adapter.networks[part])

    def _read(self, part: str) -> nn.Module:
        kind, folder = self._kind(part), self.path / part
        dtype = "dtype" if self.index[part][0] == "transformers" else "torch_dtype"
        try:
            with quiet_libraries(LIBRARIES):
                return read_network(kind, folder, dtype)
        except CheckpointError:
            raise
        except Exception as error:  # the libraries raise nothing more exact
            raise CheckpointError(f"{folder}: {one_line(error)}") from None


def open_pipeline(path: Path, seeded: str | None = None) -> PipelineFolder:
    """Read a pipeline's index.

    Raises:
        RecipeError: There is no adapter for the pipeline, or a part is of another class.
    """
    index = read_object(path / INDEX, "index")
    try:
        adapter = find_adapter(index.get("_class_name"))
    except RecipeError as error:
        raise RecipeError(f"{path / INDEX}: {error}") from None
    if faults := [*_part_faults(index, adapter)]:
        raise RecipeError(f"{path / INDEX}: {'; '.join(faults)}")
    return PipelineFolder(path, index, adapter, seeded)


def _part_faults(index: Mapping[str, Any], adapter: Adapter) -> Iterator[str]:
    for part, expected in adapter.networks.items():
        found = index.get(part)
        if found in (None, [None, None]):
            if part not in adapter.optional:
                yield f"{part}: missing, expected {expected}"
        elif found not in [[library, expected] for library in LIBRARIES]:
            yield f"{part}: got {_told(found)}, expected {expected}"
    found = index.get(SCHEDULER)
    if not isinstance(found, list) or found[-1:] not in [[name] for name in adapter.schedulers]:
        yield f"{SCHEDULER}: got {_told(found)}, expected one of {', '.join(adapter.schedulers)}"


def _told(part: Any) -> str:
    return f"{'.'.join(map(str, part)):.80}" if isinstance(part, list) else shown(part, 80)


def _laid_out(kind: Any, folder: Path) -> Any:
    if hasattr(kind, "load_config"):
        return kind.from_config(kind.load_config(folder, local_files_only=True))
    return kind(kind.config_class.from_pretrained(folder, local_files_only=True))


def one_line(error: Exception) -> str:
    """Put what a library says into one line."""
    return " ".join(str(error).split())[:400]
