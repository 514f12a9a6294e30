"""Weights of a pipeline's parts: what their files hold, before and after a library reads them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from adagen_rt.errors import CheckpointError, shown
from adagen_rt.export.diffusers.objects import read_object
from adagen_rt.models.checkpoint import CONSTANTS
from adagen_rt.models.misfit import summarize
from adagen_rt.models.sharded import is_index, present_shards

FLOAT = torch.float32
VARIANTS = ("fp16", "bf16")
SUFFIX = ".safetensors"
#: Beginnings and ends of names of tensors that a network does not read: tables that it computes,
#: and a layer that gives words.
UNREAD = re.compile(rf"^lm_head\.|\b({'|'.join(CONSTANTS)}|inv_freq)$")


def check_files(folder: Path) -> None:
    """Check the files of a part's weights by their headers.

    Raises:
        CheckpointError: There are none, a list of shards names one that is missing or pickled, a
            file is damaged, or holds weights that are not floating point.
    """
    files = [*_weight_files(folder)]
    if not files:
        expected = f"files *{SUFFIX}, or all of one variant ({' or '.join(VARIANTS)})"
        raise CheckpointError(f"{folder}: got no weights, expected {expected}")
    if odd := [path for path in files if not path.is_file()]:
        raise CheckpointError(f"{odd[0]}: not a file")
    shards = [shard for path in files if is_index(path) for shard in _shards(path)]
    for path in dict.fromkeys([*files, *shards]):
        if not is_index(path):
            _check_header(path)


def read_network(kind: Any, folder: Path, dtype: str) -> nn.Module:
    """Read a network in float32; no pickled file is read, and no code of the folder.

    Args:
        kind: Its class, of diffusers or transformers.
        folder: Its folder.
        dtype: What that library calls the precision.

    Raises:
        CheckpointError: As for `check_files`, or the weights are not those of the network.
    """
    check_files(folder)
    options: dict[str, Any] = {dtype: FLOAT, "use_safetensors": True, "local_files_only": True}
    if variant := _variant(folder):
        options["variant"] = variant
    if dtype == "dtype":  # transformers would name sizes in a log alone; diffusers says them
        options["ignore_mismatched_sizes"] = True
    network, found = kind.from_pretrained(folder, output_loading_info=True, **options)
    if wrong := sorted(found["mismatched_keys"], key=str):
        name, got, expected = wrong[0]
        sizes = f"{name}: got shape {list(got)}, expected {list(expected)}"
        raise CheckpointError(f"{folder}: {sizes}, first of {len(wrong)} that differ")
    # The libraries fill what is missing with noise, and say so in a log.
    if missing := sorted(found["missing_keys"]):
        raise CheckpointError(f"{folder}: the weights lack {summarize(missing)}")
    if beside := sorted(name for name in found["unexpected_keys"] if not UNREAD.search(name)):
        told = f"the weights have {summarize(beside)}, which the configuration does not"
        raise CheckpointError(f"{folder}: {told}")
    broken = [name for name, value in network.named_parameters() if not value.isfinite().all()]
    if broken:
        raise CheckpointError(f"{folder}: not finite: {summarize(broken)}")
    loaded: nn.Module = network
    return loaded


def _weight_files(folder: Path) -> Iterator[Path]:
    """List the files of the variant that is read, and its list of shards."""
    variant = _variant(folder)
    for path in sorted(folder.glob(f"*{SUFFIX}*")):
        if any(f".{name}" in path.name for name in VARIANTS) == bool(variant):
            yield path


def _shards(index: Path) -> list[Path]:
    """List the shards of a list, which is checked as the libraries read it."""
    names = present_shards(index)
    if other := [name for name in names if not name.endswith(SUFFIX)]:
        raise CheckpointError(f"{index}: got {summarize(other)}, expected files *{SUFFIX}")
    about = read_object(index, "list of shards").get("metadata")
    if not isinstance(about, dict):
        raise CheckpointError(f"{index}: metadata: got {shown(about, 80)}, expected an object")
    return [index.parent / name for name in names]


def _variant(folder: Path) -> str | None:
    """Name the variant of a folder that has no other weights."""
    names = {path.name for path in folder.glob(f"*{SUFFIX}*")}
    for variant in VARIANTS:
        if names and all(f".{variant}" in name for name in names):
            return variant
    return None


def _check_header(path: Path) -> None:
    try:
        with safe_open(path, "pt") as file:
            kinds = {name: file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: not a valid safetensors file: {error}") from None
    for name, kind in kinds.items():
        if not kind.startswith(("F", "BF")) and name.rpartition(".")[2] not in CONSTANTS:
            raise CheckpointError(f"{path}: {name}: got the dtype {kind}, expected floating point")
