"""Contracts of graphs: the tensors that pass through them, as step rules feed and read them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

#: Every action, every map of VAR and every choice depends on the few numbers of these graphs, so
#: they keep float32 in any engine.
KEEP_FLOAT32 = frozenset({"policy", "fidelity_policy", "critic", "reward", "refine"})
#: The optional graphs that choose actions or candidates, and the output of each.
CHOOSERS = {"policy": "raw", "fidelity_policy": "raw", "critic": "value"}


@dataclass(frozen=True)
class GraphContract:
    """One graph.

    Attributes:
        inputs: Names of the inputs that it may have, in order.
        outputs: Names of the outputs that it must have, in order.
        axes: Axis of the rows in an output, where it is not the first.
        optional: Whether an engine may lack the graph.
        beside: Another graph that this one requires.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    axes: Mapping[str, int] = field(default_factory=dict)
    optional: bool = False
    beside: str | None = None


def contract(
    inputs: str,
    outputs: str,
    *,
    axes: Mapping[str, int] | None = None,
    optional: bool = False,
    beside: str | None = None,
) -> GraphContract:
    """Make a contract of tensor names that blanks separate."""
    return GraphContract(
        tuple(inputs.split()), tuple(outputs.split()), axes or {}, optional, beside
    )


def optional_contracts(seen: str, asked: Iterable[str]) -> dict[str, GraphContract]:
    """Make the contracts of the graphs that every family may have.

    Args:
        seen: Names of the inputs of policies and critic, separated by blanks.
        asked: Names of the condition's arrays, which the reward model reads besides the image.
    """
    choosers = {
        name: contract(seen, output, optional=True, beside=None if name == "policy" else "policy")
        for name, output in CHOOSERS.items()
    }
    reward = contract(" ".join(["image", *asked]), "reward", optional=True)
    return {**choosers, "reward": reward}


def size_faults(
    expected: Mapping[str, tuple[int | None, ...]],
    found: Mapping[str, tuple[int | str, ...]],
) -> Iterator[str]:
    """List the tensors whose sizes contradict the rest of a manifest.

    Args:
        expected: Sizes by ``graph.tensor``; None for any size.
        found: Sizes that the graphs have; a string names a dynamic one.
    """
    for name, sizes in expected.items():
        got = found.get(name)
        if got is None:
            continue
        pairs = zip(got, sizes, strict=False)
        known = ((a, b) for a, b in pairs if isinstance(a, int) and b is not None)
        if len(got) != len(sizes) or any(a != b for a, b in known):
            words = ["any" if size is None else str(size) for size in sizes]
            shape = ", ".join(map(str, got))
            yield f"graphs.{name}: got the sizes ({shape}), expected ({', '.join(words)})"


def graph_faults(
    family: str,
    contracts: Mapping[str, GraphContract],
    graphs: Mapping[str, tuple[Iterable[str], Iterable[str]]],
) -> Iterator[str]:
    """List the reasons why a family cannot run these graphs.

    Args:
        family: The family's name.
        contracts: Its graphs.
        graphs: Names of the inputs and of the outputs of each graph.
    """
    for name in graphs.keys() - contracts.keys():
        yield f"graphs.{name}: the family {family} has no such graph"
    for name, agreed in contracts.items():
        if name not in graphs:
            if not agreed.optional:
                yield f"graphs has no {name!r}"
            continue
        if agreed.beside is not None and agreed.beside not in graphs:
            yield f"graphs.{name}: needs the graph {agreed.beside!r} beside it"
        inputs, outputs = (set(names) for names in graphs[name])
        if unknown := sorted(inputs - set(agreed.inputs)):
            yield f"graphs.{name}.inputs: nobody feeds {', '.join(unknown)}"
        if missing := sorted(set(agreed.outputs) - outputs):
            yield f"graphs.{name}.outputs: missing {', '.join(missing)}"
