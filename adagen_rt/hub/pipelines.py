"""Which files of a diffusers repository make its pipeline: weights and descriptions, no code."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath

from adagen_rt.errors import DownloadError
from adagen_rt.models.located import INDEX

#: What says which parts a pipeline has.
MODEL_INDEX = "model_index.json"
#: Libraries whose classes read the parts; those of others would have to bring code of their own.
LIBRARIES = ("diffusers", "transformers")
#: Files beside the weights that these classes read.
DESCRIPTIONS = (".json", ".txt", ".model")
#: Names of a part's weights, as its library saves them.
STEMS = ("diffusion_pytorch_model", "model")


def parts_of(path: Path) -> list[str]:
    """List the folders of a pipeline's parts.

    Raises:
        DownloadError: It is not the description of a pipeline, or wants code of its own.
    """
    try:
        content = json.loads(path.read_bytes())
        parts = {k: v for k, v in content.items() if isinstance(v, list) and len(v) == 2 and v[0]}
    except (ValueError, AttributeError, RecursionError) as error:
        raise DownloadError(f"{path}: not the description of a pipeline") from error
    if not isinstance(content.get("_class_name"), str) or not parts:
        raise DownloadError(f"{path}: not the description of a pipeline")
    for name, (library, kind) in parts.items():
        if library not in LIBRARIES or not re.fullmatch(r"\w+", name):
            raise DownloadError(
                f"{path}: {name}: got {library}.{kind}, expected a class of "
                f"{' or '.join(LIBRARIES)}; code of repositories is neither fetched nor run"
            )
    return list(parts)


def choose_files(
    parts: Collection[str], files: Collection[str], variant: str | None, where: str
) -> list[str]:
    """Choose a pipeline's files.

    Args:
        parts: Its parts.
        files: What the repository has.
        variant: The variant of the weights, such as `fp16`, where a part has it.
        where: The repository, for errors.

    Raises:
        DownloadError: A part has no weights that can be read without running code; the message
            tells of each.
    """
    chosen, faults = [MODEL_INDEX], []
    for part in parts:
        inside = [name for name in sorted(files) if str(PurePosixPath(name).parent) == part]
        chosen += [name for name in inside if _is_description(name)]
        if f"{part}/config.json" not in inside:
            continue  # a tokenizer or a scheduler
        weights = _weights(inside, variant) or _weights(inside, None)
        chosen += weights
        faults += [] if weights else [f"{part}: {_lack(inside)}"]
    if variant and not any(f".{variant}" in name for name in chosen):
        faults.append(f"include: got {variant!r}, expected {_variants(files)}")
    if faults:
        raise DownloadError(f"{where}: {'; '.join(faults)}")
    return chosen


def _is_description(name: str) -> bool:
    return name.endswith(DESCRIPTIONS) and ".index." not in name


def _weights(inside: list[str], variant: str | None) -> list[str]:
    """The weights of a part, whole or in shards with their list."""
    between = f".{variant}" if variant else ""
    for stem in STEMS:
        whole = re.compile(rf".*/{stem}{re.escape(between)}\.safetensors")
        if found := [name for name in inside if whole.fullmatch(name)]:
            return found
        index = f"/{stem}.safetensors{INDEX if not variant else f'.index.{variant}.json'}"
        shards = re.compile(
            rf".*/{stem}{re.escape(between)}-\d+-of-\d+\.safetensors"
            rf"|.*/{stem}-\d+-of-\d+{re.escape(between)}\.safetensors"
        )
        lists = [name for name in inside if name.endswith(index)]
        if lists and (found := [name for name in inside if shards.fullmatch(name)]):
            return lists + found
    return []


def _lack(inside: list[str]) -> str:
    if variants := list(_variant_names(inside)):
        return f"its weights are there only as {', '.join(variants)}: --include {variants[0]}"
    return "no .safetensors of its weights; pickles are not fetched"


def _variants(files: Collection[str]) -> str:
    found = list(dict.fromkeys(_variant_names(sorted(files))))
    return f"one of {', '.join(found)}" if found else "none, as the weights have no variants"


def _variant_names(files: Collection[str]) -> Iterator[str]:
    for name in files:
        if found := re.search(rf"/(?:{'|'.join(STEMS)})\.(\w+)[\w-]*\.safetensors$", name):
            yield found[1]
