"""Contracts of graphs: the tensors that pass through them, as step rules feed and read them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

#: Every action, every map of VAR and every choice hangs on the few numbers of these graphs, so
#: they keep float32 in any engine.
KEEP_FLOAT32 = frozenset({"policy", "fidelity_policy", "critic", "reward", "refine"})
#: The optional graphs that choose, and the one number or row of numbers that each gives.
CHOOSERS = {"policy": "raw", "fidelity_policy": "raw", "critic": "value"}


@dataclass(frozen=True)
class GraphContract:
    """One graph.

    Attributes:
        inputs: What it may ask for, in order.
        outputs: What it has to give, in order.
        axes: Axis of the rows in an output, where it is not the first.
        optional: Whether an engine can do without it.
        beside: Another graph that it makes no sense without.
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
        seen: What policies and the critic look at.
        asked: Arrays of the condition, which the reward model is told besides the image.
    """
    choosers = {
        name: contract(seen, output, optional=True, beside=None if name == "policy" else "policy")
        for name, output in CHOOSERS.items()
    }
    reward = contract(" ".join(["image", *asked]), "reward", optional=True)
    return {**choosers, "reward": reward}


def graph_faults(
    family: str,
    contracts: Mapping[str, GraphContract],
    graphs: Mapping[str, tuple[Iterable[str], Iterable[str]]],
) -> Iterator[str]:
    """Say what keeps a family from running these graphs.

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
