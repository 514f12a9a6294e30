"""Recipes as device programs over PyTorch modules, for the checks and timings on a GPU."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from adagen_rt.backends.torch.modules import TorchGraphs, cast_networks, network_calls
from adagen_rt.cuda import Driver
from adagen_rt.export.description import describe_model
from adagen_rt.export.networks import Networks, seed_networks
from adagen_rt.export.recipe import Recipe, load_recipe
from adagen_rt.program import Program, Runner, build_program
from adagen_rt.program.setting import Setting
from adagen_rt.training.policy.environment import Environment

RECIPES = Path(__file__).parents[1] / "export"
#: What a generation cannot do without; all else is this runtime's overhead.
NETWORKS = frozenset(["backbone", "condition", "refine", "decoder"])


@dataclass(frozen=True)
class Place:
    """Where programs run: a GPU, or its stand-in with PyTorch on the CPU."""

    driver: Driver
    stream: int
    torch_device: str

    @property
    def captures(self) -> bool:
        """Whether programs can be captured; PyTorch on the CPU works at once, and never waits."""
        return self.torch_device == "cuda"


class Model:
    """Seeded networks of a recipe on a device.

    Args:
        name: A recipe of ``export/``.
        place: Where they run.
        dtype: Dtype of backbone and decoder.
    """

    def __init__(self, name: str, place: Place, dtype: torch.dtype) -> None:
        self.recipe: Recipe = load_recipe(RECIPES / f"{name}.yaml")
        self.place, self.dtype = place, dtype
        self.manifest = describe_model(self.recipe)
        networks: Networks = seed_networks(self.recipe, "gpu-check")
        self.backbone, self.decoder = networks.backbone, networks.decoder
        cast_networks(self.manifest, self.backbone, self.decoder, dtype)
        environment = Environment.of_networks(
            self.manifest, self.backbone, self.decoder, place.torch_device
        )
        self.policy = networks.policy and environment.multi_scale(networks.policy).eval()

    def program(self, batch: int, compiled: frozenset[str] = frozenset()) -> Program:
        """The device program; ``compiled`` names the graphs that ``torch.compile`` is given."""
        calls = network_calls(self.manifest, self.backbone, self.decoder, self.policy, self.dtype)
        graphs = TorchGraphs(self.manifest, calls, self.dtype, self.place.torch_device, compiled)
        driver, stream = self.place.driver, self.place.stream
        steps, policies = self.recipe.schedule.steps, () if self.policy is None else ("policy",)
        manifest = self.manifest.with_graphs(calls)
        return build_program(Setting(manifest, graphs, driver, stream, batch, steps, policies))

    def runner(self, program: Program) -> Runner:
        """Warmed, and captured where that is possible."""
        return Runner(program, self.place.driver, self.place.stream, capture=self.place.captures)


def only(program: Program, labels: Collection[str]) -> Program:
    """The same program with nothing but the ops of these labels."""
    return replace(program, ops=tuple(op for op in program.ops if op.label in labels))


def request(batch: int) -> tuple[Any, Any]:
    """Rows and seeds."""
    return {"labels": np.arange(batch) % 10}, np.arange(batch) + 2**40
