"""How a file's tensors differ from a network's, in a line that a person can read."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor

#: So many names, or groups of names, are told; a network may miss hundreds.
TOLD = 6
_NUMBERED = re.compile(r"^(.*?)\.(\d+)\.")

State = Mapping[str, Tensor]


def describe_misfit(expected: State, state: State) -> str | None:
    """Describe every way in which a state differs from what is expected; None if it fits."""
    missing = sorted(expected.keys() - state.keys())
    unexpected = sorted(state.keys() - expected.keys())
    faults = [f"missing {summarize(missing)}"] if missing else []
    faults += [f"unexpected {summarize(unexpected)}"] if unexpected else []
    faults += _shortened(list(_wrong_tensors(expected, state)))
    if hint := _hint(missing, unexpected):
        faults.append(hint)
    return "; ".join(faults) or None


def summarize(names: Sequence[str]) -> str:
    """List names, or where there are many, what they have in common."""
    if len(names) <= TOLD:
        return ", ".join(names)
    groups: dict[str, list[int]] = defaultdict(list)
    plain = []
    for name in names:
        if found := _NUMBERED.match(name):
            groups[found[1]].append(int(found[2]))
        else:
            plain.append(name)
    told = [_block(head, numbers) for head, numbers in groups.items()]
    return f"{len(names)} tensors: {', '.join(_shortened([*told, *plain]))}"


def _block(head: str, numbers: Sequence[int]) -> str:
    first, last = min(numbers), max(numbers)
    span = f"{head}.{first}" if first == last else f"{head}.{first} to {head}.{last}"
    return f"{span} ({len(numbers)})"


def _shortened(told: list[str]) -> list[str]:
    rest = len(told) - TOLD
    return told if rest <= 0 else [*told[:TOLD], f"and {rest} more"]


def _wrong_tensors(expected: State, state: State) -> Iterator[str]:
    for name in sorted(expected.keys() & state.keys()):
        got, want = state[name], expected[name]
        if got.shape != want.shape:
            yield f"{name}: got shape {list(got.shape)}, expected {list(want.shape)}"
        elif got.is_floating_point() != want.is_floating_point():
            yield f"{name}: got {got.dtype}, expected {want.dtype}"


def _hint(missing: Sequence[str], unexpected: Sequence[str]) -> str | None:
    """What the two lists together give away."""
    for name in missing:
        for other in unexpected:
            if other.endswith(f".{name}"):
                prefix = other.removesuffix(name)
                return f"the file's names begin with {prefix!r}, which no rule takes off"
    if not missing or unexpected:
        return None
    blocks = all(_NUMBERED.match(name) for name in missing)
    return "is the recipe's network deeper than the file's?" if blocks else None
