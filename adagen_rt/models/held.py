"""Which tensors of a weight file are a network's: wrappers, averages and prefixes.

Training scripts keep a network under a key of their own, often twice: as it is, and as the
moving average (EMA) that images are made with. What wraps a module puts a prefix before every
name. A file may hold several networks. Which one is meant follows from the names expected.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from adagen_rt.errors import CheckpointError


@dataclass(frozen=True)
class Rule:
    """A prefix that is taken off every name.

    Attributes:
        prefix: The prefix.
        whose: Who puts it there.
    """

    prefix: str
    whose: str


RULES = (
    Rule("module.", "DistributedDataParallel and AveragedModel"),
    Rule("_orig_mod.", "torch.compile"),
    Rule("model.", "Lightning modules"),
    Rule("network.", "Lightning modules"),
    Rule("net.", "Lightning modules"),
    Rule("ema_model.", "ema-pytorch"),
    Rule("ema.", "Lightning modules that keep an average"),
    Rule("policy_old.actor.", "AdaNAT's policies, whose `policy.` is one update ahead"),
)
#: Keys inside keys are looked through this deep: `{"trainer": {"var_wo_ddp": ...}}`.
MAX_DEPTH = 3
#: Prefixes that are taken off one name, one after the other.
MAX_PREFIXES = 8
_AVERAGE = re.compile(r"(^|[._])(ema|average[d]?|swa)([._]|$)", re.IGNORECASE)


@dataclass(frozen=True)
class Held:
    """Tensors by name, somewhere in a file.

    Attributes:
        key: Keys and prefixes that lead there, with dots between; empty for the file itself.
        tensors: The tensors.
    """

    key: str
    tensors: dict[str, Tensor]

    @property
    def averaged(self) -> bool:
        """Whether the key says that these are a moving average."""
        return _AVERAGE.search(self.key) is not None


def find_held(content: Any) -> list[Held]:
    """List everything in a file that could be a network, with and without known prefixes."""
    return [held for found in _walk(content, ()) for held in _peel(found)]


def _walk(content: Any, keys: tuple[str, ...]) -> Iterator[Held]:
    if not isinstance(content, Mapping):
        return
    named = {key: value for key, value in content.items() if isinstance(key, str)}
    tensors = {key: value for key, value in named.items() if isinstance(value, Tensor)}
    if tensors:
        yield Held(".".join(keys), tensors)
    if len(keys) < MAX_DEPTH:
        for key, value in named.items():
            yield from _walk(value, (*keys, key))


def _peel(held: Held, most: int = MAX_PREFIXES) -> Iterator[Held]:
    yield held
    for rule in RULES if most else ():
        if inner := _without(held, rule.prefix):
            yield from _peel(inner, most - 1)


def _without(held: Held, prefix: str) -> Held | None:
    """What has a prefix, without it."""
    inner = {
        name.removeprefix(prefix): tensor
        for name, tensor in held.tensors.items()
        if name.startswith(prefix)
    }
    return Held(".".join(filter(None, (held.key, prefix[:-1]))), inner) if inner else None


def under_key(found: Sequence[Held], key: str) -> list[Held]:
    """What lies under a key that the user named, prefixes of names included.

    Raises:
        CheckpointError: Nothing does.
    """
    inside = [held for held in found if held.key == key or held.key.startswith(f"{key}.")]
    inside = inside or [
        inner
        for held in found
        if f"{key}.".startswith(f"{held.key}." if held.key else "")
        and (inner := _without(held, f"{key}.".removeprefix(f"{held.key}." if held.key else "")))
    ]
    if not inside:
        keys = ", ".join(dict.fromkeys(held.key for held in found if held.key)) or "no key at all"
        raise CheckpointError(f"weights-key: got {key!r:.80}, expected one of the file's: {keys}")
    return inside


def choose_held(found: Sequence[Held], expected: Collection[str]) -> Held:
    """Choose the tensors that are meant for a network: its moving average where there is one.

    Args:
        found: What a file holds; not empty.
        expected: Names of the network's tensors.

    Raises:
        CheckpointError: Several fit as well as each other.
    """
    wanted = set(expected)
    near = [held for held in found if 2 * len(wanted & held.tensors.keys()) >= len(wanted)]
    averages = [held for held in near if held.averaged]
    ranked = sorted(averages or near or found, key=lambda held: _distance(held, wanted))
    best = ranked[0]
    equal = [
        held for held in near if held.averaged == best.averaged and _rivals(held, best, wanted)
    ]
    if len(equal) > 1:
        keys = ", ".join(repr(held.key or "the file itself") for held in equal)
        raise CheckpointError(
            f"several fit, under {keys}; --weights-key names the one that is meant"
        )
    return best


def _distance(held: Held, wanted: set[str]) -> int:
    return len(wanted ^ held.tensors.keys())


def _rivals(held: Held, best: Held, wanted: set[str]) -> bool:
    """Tell whether tensors are the best, or are others that fit in full and as well."""
    if not wanted <= held.tensors.keys() or _distance(held, wanted) > _distance(best, wanted):
        return False
    return held is best or any(held.tensors[name] is not best.tensors[name] for name in wanted)


def describe_choice(chosen: Held, found: Sequence[Held], expected: Collection[str]) -> str | None:
    """Say under which key a network was found, if not in the file itself, and what it left."""
    if not chosen.key:
        return None
    wanted = set(expected)
    others = [
        held.key or "the file itself"
        for held in found
        if held.key != chosen.key and wanted <= held.tensors.keys()
    ]
    also = f"; also there: {', '.join(others)}" if others else ""
    return f"weights under {chosen.key!r}{also}"
