"""Which graphs each family runs and the tensors that pass through them.

This is the table of docs/architecture.md as data: what the step rules feed and read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Contract:
    """One graph.

    Attributes:
        inputs: What it may ask for.
        outputs: What it has to give.
        optional: Whether an engine can do without it.
        beside: Another graph that it makes no sense without.
    """

    inputs: frozenset[str]
    outputs: frozenset[str]
    optional: bool = False
    beside: str | None = None


def _graph(
    inputs: str, outputs: str, *, optional: bool = False, beside: str | None = None
) -> Contract:
    return Contract(frozenset(inputs.split()), frozenset(outputs.split()), optional, beside)


def _chosen(seen: str) -> dict[str, Contract]:
    """The optional graphs, of which the first three look at ``seen``."""
    return {
        "policy": _graph(seen, "raw", optional=True),
        "fidelity_policy": _graph(seen, "raw", optional=True, beside="policy"),
        "critic": _graph(seen, "value", optional=True, beside="policy"),
        "reward": _graph("image labels", "reward", optional=True),
    }


_DIFFUSION = {
    "backbone": _graph("x t labels", "prediction features"),
    "decoder": _graph("latents", "image"),
    **_chosen("features step"),
}
#: Every action, every map of VAR and every choice hangs on the few numbers of these graphs, so
#: they keep float32 in any engine.
KEEP_FLOAT32 = frozenset({"policy", "fidelity_policy", "critic", "reward", "refine"})
CONTRACTS: dict[str, dict[str, Contract]] = {
    "maskgit": {
        "backbone": _graph("tokens labels", "logits features"),
        "decoder": _graph("tokens", "image"),
        **_chosen("features step"),
    },
    "dit": _DIFFUSION,
    "sit": _DIFFUSION,
    "var": {
        "condition": _graph("labels", "modulation head_modulation start"),
        "backbone": _graph(
            "inputs positions cache modulation head_modulation start",
            "logits features new_cache",
        ),
        "refine": _graph("tokens positions next_positions phi f_hat", "next_f_hat next_inputs"),
        "decoder": _graph("latents", "image"),
        **_chosen("features positions step"),
    },
}


def graph_faults(
    family: str, graphs: Mapping[str, tuple[Iterable[str], Iterable[str]]]
) -> Iterator[str]:
    """What keeps a family from running these graphs.

    Args:
        family: The family's name.
        graphs: Names of the inputs and of the outputs of each graph.
    """
    contracts = CONTRACTS[family]
    for name in graphs.keys() - contracts.keys():
        yield f"graphs.{name}: the family {family} has no such graph"
    for name, contract in contracts.items():
        if name not in graphs:
            if not contract.optional:
                yield f"graphs has no {name!r}"
            continue
        if contract.beside is not None and contract.beside not in graphs:
            yield f"graphs.{name}: needs the graph {contract.beside!r} beside it"
        inputs, outputs = (set(names) for names in graphs[name])
        if unknown := sorted(inputs - contract.inputs):
            yield f"graphs.{name}.inputs: nobody feeds {', '.join(unknown)}"
        if missing := sorted(contract.outputs - outputs):
            yield f"graphs.{name}.outputs: missing {', '.join(missing)}"
