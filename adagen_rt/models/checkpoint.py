"""Reading weight files that may come from anyone, and fitting them to a module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from adagen_rt.errors import CheckpointError
from adagen_rt.models.held import RULES, choose_held, describe_choice, find_held, under_key
from adagen_rt.models.located import INDEX
from adagen_rt.models.misfit import describe_misfit
from adagen_rt.models.pickled import read_pickle
from adagen_rt.models.sharded import is_index, read_shards
from adagen_rt.types import Tell

PICKLE_SUFFIXES = (".pth", ".pt", ".ckpt", ".bin")
WRAPPERS = ("ema", "model_ema", "state_dict", "model")
"""Keys under which `load_state` looks, which knows of no network; averages come first."""
MAX_HEADER = 8 << 20
"""Longest safetensors header accepted, in bytes; VAR-d30's has 402 tensors in 40 kB."""
COUNTERS = ("ema_vocab_hit_SV",)
"""Statistics of a training that no image depends on: they may have any shape, as published."""
CONSTANTS = ("position_ids",)
"""Counting numbers that older encoders keep beside their weights; nothing reads them."""


def load_weights(
    module: nn.Module,
    path: str | Path,
    *,
    key: str | None = None,
    tell: Tell = lambda message: None,
) -> None:
    """Load a network from a file that may hold more than that.

    Args:
        module: The network, as for `load_strict`.
        path: The file.
        key: Where in the file; None takes what fits, and of that a moving average first.
        tell: Told under which key the network was found, if under any.

    Raises:
        CheckpointError: The file cannot be read, or nothing in it fits; the message says what
            was tried.
    """
    load_strict(module, find_weights(module, path, key=key, tell=tell))


def find_weights(
    module: nn.Module,
    path: str | Path,
    *,
    key: str | None = None,
    tell: Tell = lambda message: None,
) -> dict[str, Tensor]:
    """Find a network's tensors in a file, which they fit; as for `load_weights`."""
    content, expected = read_file(path), module.state_dict()
    found = find_held(content)
    if not found:
        raise CheckpointError(f"{path}: {_no_tensors(content)}")
    inside = found if key is None else under_key(found, key)
    try:
        held = choose_held(inside, expected)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    if choice := describe_choice(held, found, expected):
        tell(f"{path}: {choice}")
    state = _with_counters(held.tensors, expected)
    if fault := describe_misfit(expected, state):
        where = f", read under {held.key!r}," if held.key else ""
        raise CheckpointError(
            f"{path}: weights{where} do not fit {type(module).__name__}: {fault}; known prefixes: "
            f"{', '.join(rule.prefix for rule in RULES)}; --weights-key names another key"
        )
    return state


def load_state(path: str | Path) -> dict[str, Tensor]:
    """Read tensors by name from a file, without knowing what network they are for.

    Args:
        path: A `.safetensors` file, a list of shards, or a `.pth`, `.pt`, `.ckpt` or `.bin` file
            that holds a state dict, bare or under one of `WRAPPERS`.

    Returns:
        Tensors by name, on the CPU. They may be views of the mapped file.

    Raises:
        CheckpointError: The file is missing, damaged, or could run code.
    """
    content = read_file(path)
    while isinstance(content, Mapping):
        inner = (content[key] for key in WRAPPERS if isinstance(content.get(key), Mapping))
        if (opened := next(inner, None)) is None:
            break
        content = opened
    if not isinstance(content, Mapping) or not content or not all(map(_is_entry, content.items())):
        raise CheckpointError(f"{path}: {_no_tensors(content)}")
    return dict(content)


def read_file(path: str | Path) -> Any:
    """Read a weight file, whatever it holds.

    Raises:
        CheckpointError: As for `load_state`.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")
    if path.suffix == ".safetensors":
        return _load_safetensors(path)
    if path.suffix in PICKLE_SUFFIXES:
        return read_pickle(path)
    if is_index(path):
        return read_shards(path, read_file)
    expected = ", ".join((".safetensors", *PICKLE_SUFFIXES, INDEX))
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
        CheckpointError: Tells every missing, unexpected and ill-fitting tensor.
    """
    expected = module.state_dict()
    state = _with_counters(state, expected)
    if fault := describe_misfit(_without(expected, ignore), _without(state, ignore)):
        raise CheckpointError(f"weights do not fit {type(module).__name__}: {fault}")
    fitting = {
        name: state[name].to(value.dtype) for name, value in expected.items() if name in state
    }
    meta = any(value.is_meta for value in expected.values())
    module.load_state_dict(fitting, strict=False, assign=meta)


def _with_counters(
    state: Mapping[str, Tensor], expected: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The state without constants, and with zeros for counters of another shape than expected."""
    fresh = {
        name: torch.zeros(value.shape, dtype=value.dtype)
        for name, value in expected.items()
        if name.endswith(COUNTERS) and name in state and state[name].shape != value.shape
    }
    kept = {
        name: value
        for name, value in state.items()
        if name in expected or name.rpartition(".")[2] not in CONSTANTS
    }
    return {**kept, **fresh}


def _without(state: Mapping[str, Tensor], ignore: Sequence[str]) -> dict[str, Tensor]:
    prefixes = tuple(ignore)
    return {name: value for name, value in state.items() if not name.startswith(prefixes)}


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


def _no_tensors(content: Any) -> str:
    if not isinstance(content, Mapping) or not content:
        return f"got {type(content).__name__}, expected tensors by name"
    wrong = (item for item in content.items() if not _is_entry(item))
    told = [f"{key!r:.80}: {type(value).__name__}" for key, value in wrong]
    return f"expected tensors by name, got {', '.join(told[:6])}"


def _is_entry(item: tuple[Any, Any]) -> bool:
    return isinstance(item[0], str) and isinstance(item[1], Tensor)
