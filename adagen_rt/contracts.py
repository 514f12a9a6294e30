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
    """

    inputs: frozenset[str]
    outputs: frozenset[str]
    optional: bool = False


def _graph(inputs: str, outputs: str, *, optional: bool = False) -> Contract:
    return Contract(frozenset(inputs.split()), frozenset(outputs.split()), optional)


_POLICY = _graph("features step", "raw", optional=True)
_DIFFUSION = {
    "backbone": _graph("x t labels", "prediction features"),
    "policy": _POLICY,
    "decoder": _graph("latents", "image"),
}
#: Every action and every map of VAR hangs on the few numbers of these graphs, so they keep
#: float32 in any engine.
KEEP_FLOAT32 = frozenset({"policy", "refine"})
CONTRACTS: dict[str, dict[str, Contract]] = {
    "maskgit": {
        "backbone": _graph("tokens labels", "logits features"),
        "policy": _POLICY,
        "decoder": _graph("tokens", "image"),
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
        "policy": _graph("features positions step", "raw", optional=True),
        "decoder": _graph("latents", "image"),
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
        inputs, outputs = (set(names) for names in graphs[name])
        if unknown := sorted(inputs - contract.inputs):
            yield f"graphs.{name}.inputs: nobody feeds {', '.join(unknown)}"
        if missing := sorted(contract.outputs - outputs):
            yield f"graphs.{name}.outputs: missing {', '.join(missing)}"
