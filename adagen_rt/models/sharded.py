"""Weights in several files, with a list of which tensor is where."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from adagen_rt.errors import CheckpointError
from adagen_rt.models.misfit import summarize

#: Longest list of shards accepted, in bytes; those of the largest models have some 200 kB.
MAX_INDEX = 16 << 20


def is_index(path: Path) -> bool:
    """Tell whether a file's name is that of a list of shards."""
    return path.suffix == ".json" and ".index." in path.name


def read_shards(index: Path, read: Callable[[Path], Any]) -> dict[str, Tensor]:
    """Read the tensors that a list of shards names.

    Args:
        index: The list, beside its shards.
        read: Reads one shard.

    Raises:
        CheckpointError: The list is not valid, or a shard or a tensor of it is missing.
    """
    shards = present_shards(index)
    tensors: dict[str, Tensor] = {}
    for name, wanted in shards.items():
        content = read(index.parent / name)
        if absent := [key for key in wanted if not isinstance(content.get(key), Tensor)]:
            raise CheckpointError(f"{index.parent / name}: lacks {summarize(absent)}")
        tensors |= {key: content[key] for key in wanted}
    return tensors


def present_shards(index: Path) -> dict[str, list[str]]:
    """List the tensors of each shard, all of which are there; as for `read_shards`."""
    shards = list_shards(index)
    if absent := [name for name in shards if not (index.parent / name).is_file()]:
        raise CheckpointError(
            f"{index}: {len(absent)} of its {len(shards)} files are missing: {summarize(absent)}"
        )
    return shards


def list_shards(index: Path) -> dict[str, list[str]]:
    """List the tensors of each shard by the shard's name; as for `read_shards`."""
    if index.stat().st_size > MAX_INDEX:
        raise CheckpointError(f"{index}: larger than {MAX_INDEX} bytes, not a list of shards")
    try:
        places = json.loads(index.read_bytes())["weight_map"]
        pairs = list(places.items())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{index}: not a list of shards ({type(error).__name__})") from None
    shards = defaultdict(list)
    for key, name in pairs:
        if (
            not isinstance(name, str)
            or Path(name).name != name
            or "\\" in name
            or is_index(Path(name))
        ):
            raise CheckpointError(f"{index}: got {name!r:.80}, expected a file beside it")
        shards[name].append(key)
    if not shards:
        raise CheckpointError(f"{index}: a list of no shards")
    return shards
