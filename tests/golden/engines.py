"""Small seeded engines of the golden networks, and how to watch them step by step."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from golden_data import POLICY_SCALE, TAG, seeded

from adagen_rt.backends.onnxruntime.session import OnnxRuntime
from adagen_rt.backends.torch.sessions import frozen, torch_sessions
from adagen_rt.engine.folder import EngineFolder
from adagen_rt.engine.sections import Dtype
from adagen_rt.export.description import describe_model
from adagen_rt.export.engine import export_networks
from adagen_rt.export.networks import Networks, make_policy
from adagen_rt.export.recipe import Recipe, load_recipe
from adagen_rt.ops import Ops
from adagen_rt.pipeline.stepwise import StepwisePipeline
from adagen_rt.sampling.assembly import Assembly
from adagen_rt.sampling.loop import Decision, Loop
from adagen_rt.sampling.params import SamplingParams
from adagen_rt.sampling.rule import NoiseSource, State
from adagen_rt.sampling.sampler import Sampler
from adagen_rt.types import Arrays, Session

LABELS = np.array([1, 207, 999])
RECIPES = Path(__file__).parents[2] / "export"

# The published recipes, with the golden networks' sizes.
_SIZES = {
    "maskgit-l": {"backbone": {"width": 64, "depth": 5, "heads": 4}, "steps": 8},
    "dit-xl-2": {"backbone": {"width": 64, "depth": 2, "heads": 4}, "steps": 8},
    "sit-xl-2": {"backbone": {"width": 64, "depth": 2, "heads": 4}, "steps": 8},
    "var-d16": {
        "backbone": {"width": 128, "depth": 2, "heads": 2},
        "decoder": {"channels": 32},
        "steps": 10,
    },
}
#: These families' decoders have golden numbers of their own; a small one does here.
_SMALL_DECODERS = {
    "maskgit-l": {"channels": 32, "decoder_blocks": 1, "encoder_blocks": 1},
    "dit-xl-2": {"channels": 32, "decoder_blocks": 1, "encoder_blocks": 1},
    "sit-xl-2": {"channels": 32, "decoder_blocks": 1, "encoder_blocks": 1},
    "var-d16": {},
}
_DECODER_TAGS = {"var": "var/vae"}


def golden_recipe(name: str, **grid: Any) -> Recipe:
    """A published recipe at the golden size; sizes of its grid may be others."""
    recipe = load_recipe(RECIPES / f"{name}.yaml")
    sizes = _SIZES[name]
    content = recipe.model_dump()
    content["backbone"] = {**vars(recipe.backbone), **sizes["backbone"], **grid}
    content["decoder"] = {
        **vars(recipe.decoder),
        **_SMALL_DECODERS[name],
        **sizes.get("decoder", {}),
    }
    content["schedule"]["steps"] = sizes["steps"]
    if scales := grid.get("scales"):
        content["decoder"] |= {"scales": scales, "phis": ()}
        content["schedule"]["steps"] = len(scales)
    return Recipe.model_validate(content)


def export_golden(
    name: str,
    out: Path,
    policy_scale: dict[str, float] = POLICY_SCALE,
    dtype: Dtype = "float32",
    tag: str = TAG,
    **grid: Any,
) -> EngineFolder:
    """Export a golden network with its seeded weights; `grid` as for `golden_recipe`."""
    recipe = golden_recipe(name, **grid)
    make = partial(_golden_networks, recipe, policy_scale, tag)
    return export_networks(recipe, make, out, dtype=dtype)


def _golden_networks(recipe: Recipe, policy_scale: dict[str, float], tag: str) -> Networks:
    family = recipe.family
    return Networks(
        seeded(recipe.make_backbone(), f"{family}/backbone", tag),
        seeded(recipe.make_decoder(), _DECODER_TAGS.get(family, f"{family}/decoder"), tag),
        seeded(make_policy(recipe), f"{family}/policy", tag, scales=policy_scale),
    )


class OverArrays:
    """A network as a session over NumPy's arrays, without the minute that its export takes."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def run(self, inputs: Arrays) -> Arrays:
        given = {name: torch.tensor(values) for name, values in inputs.items()}
        return {name: values.numpy() for name, values in self.session.run(given).items()}


def networks_sampler(name: str, ops: Ops, noise: NoiseSource, tag: str, **grid: Any) -> Sampler:
    """Make a sampler of a golden network that is not exported; its policy is the caller's."""
    recipe = golden_recipe(name, **grid)
    networks = _golden_networks(recipe, POLICY_SCALE, tag)
    manifest = describe_model(recipe)
    model = manifest.plugin.model()
    functions = dict(model.functions(frozen(networks.backbone, "cpu"), networks.decoder.eval()))
    manifest = manifest.with_graphs(functions)
    sessions = torch_sessions(manifest, functions)
    over = {part: OverArrays(session) for part, session in sessions.items()}
    return Sampler(Assembly(manifest, over, ops, noise))


def trajectory(generator: StepwisePipeline) -> Iterator[tuple[State, Decision]]:
    """Every decision for the golden labels, with the state that follows from it."""
    loop = whole_loop(generator)
    state, decisions = loop.start(np.arange(3), {"labels": LABELS}, np.arange(3))
    for decision in decisions:
        yield state, decision
    for _ in range(loop.rule.steps):
        state, decision = loop.step(state)
        yield state, decision


def final_states(generator: StepwisePipeline, labels: list[int], seeds: list[int]) -> State:
    """The slots after a whole generation."""
    loop = whole_loop(generator)
    rows = {"labels": np.array(labels)}
    state, _ = loop.start(np.arange(len(labels)), rows, np.array(seeds))
    for _ in range(loop.rule.steps):
        state, _ = loop.step(state)
    return state


def whole_loop(generator: StepwisePipeline) -> Loop:
    """A loop at the engine's own number of steps."""
    return generator.sampler.loop(SamplingParams().check(generator.manifest))


def decoded(generator: StepwisePipeline, state: State) -> np.ndarray:
    """The decoder's output, before it is rounded to pixels."""
    latents = whole_loop(generator).rule.latents(state)
    graph = OnnxRuntime(threads=2).load(generator.engine.graph_file("decoder"))
    return graph.run(latents)["image"].copy()


def chosen(decisions: list[Decision]) -> np.ndarray:
    """Actions of all calls, (calls, B, A)."""
    return np.stack([np.stack(list(d.actions.values()), axis=1) for d in decisions])
