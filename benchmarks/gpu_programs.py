"""Recipes as device programs over PyTorch modules, for the checks and timings on a GPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from adagen_rt.cuda import Driver
from adagen_rt.device import Program, Runner, build_program
from adagen_rt.device.builder import Setting
from adagen_rt.device.runner import Capture
from adagen_rt.export.description import describe_model
from adagen_rt.export.networks import Networks, seed_networks
from adagen_rt.export.recipe import Recipe, load_recipe
from adagen_rt.models.torch_backend import TorchGraphs, network_calls
from adagen_rt.training.environment import Environment

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
    def capture(self) -> Capture:
        """PyTorch on the CPU works at once: nothing of it could wait for a replay."""
        return "whole" if self.torch_device == "cuda" else "none"


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
        self.environment = Environment(
            self.manifest, networks.backbone, networks.decoder, place.torch_device
        )
        self.policy = networks.policy and self.environment.multi_scale(networks.policy).eval()
        networks.backbone.to(dtype)
        networks.decoder.to(dtype)
        if self.recipe.family == "var":
            networks.decoder.quantize.float()

    def program(self, batch: int) -> Program:
        """The device program."""
        environment, family = self.environment, self.recipe.family
        calls = network_calls(
            family, environment.backbone, environment.decoder, self.policy, self.dtype
        )
        graphs = TorchGraphs(family, calls, self.dtype, self.place.torch_device)
        driver, stream = self.place.driver, self.place.stream
        steps, adaptive = self.recipe.schedule.steps, self.policy is not None
        return build_program(Setting(self.manifest, graphs, driver, stream, batch, steps, adaptive))

    def runner(self, program: Program) -> Runner:
        """Warmed, and captured where that is possible."""
        return Runner(program, self.place.driver, self.place.stream, self.place.capture)

    def eager(self, batch: int, *, compiled: bool) -> Callable[[], Any]:
        """The trainer's loop in PyTorch alone, over networks that are cast as the program's are.

        Autocast would convert weights at every call, which the program does not pay for.
        """
        networks = seed_networks(self.recipe, "gpu-check")
        backbone, decoder = networks.backbone.to(self.dtype), networks.decoder.to(self.dtype)
        if self.recipe.family == "var":
            decoder.quantize.float()
        device = self.place.torch_device
        environment = Environment(
            self.manifest, CastBackbone(backbone), CastDecoder(decoder, self.dtype), device
        )
        if compiled:
            environment.backbone = torch.compile(environment.backbone, mode="reduce-overhead")
        labels, seeds = (torch.arange(batch, device=device) for _ in range(2))

        @torch.no_grad()
        def ask(features: dict[str, Any], call: Any) -> Any:
            return self.policy(*features.values(), call)

        def run() -> Any:
            loop = environment.loop(ask)
            state, _ = loop.start(torch.arange(batch, device=device), labels, seeds)
            for _ in range(loop.family.steps):
                if compiled:
                    torch.compiler.cudagraph_mark_step_begin()
                state, _ = loop.step(state)
            return environment.decode(loop.family.latents(state)).cpu()

        return run


class CastBackbone(nn.Module):
    """A backbone of any dtype that tells the loop's ops float32."""

    def __init__(self, backbone: Any) -> None:
        super().__init__()
        self.wrapped = backbone
        self.condition = getattr(backbone, "condition", None)

    def forward(self, **inputs: Any) -> Any:
        """Logits or prediction, features, and VAR's new cache as it is."""
        told, features, *cache = self.wrapped(**inputs)
        return (told.float(), features.float(), *cache)


class CastDecoder(nn.Module):
    """A decoder of any dtype between float32 latents and pixels."""

    def __init__(self, decoder: Any, dtype: torch.dtype) -> None:
        super().__init__()
        self.wrapped, self.dtype = decoder, dtype
        self.quantize = getattr(decoder, "quantize", None)

    def decode(self, latents: Any) -> Any:
        """Pixels of latents."""
        return self.wrapped.decode(latents.to(self.dtype)).float()

    def decode_tokens(self, tokens: Any) -> Any:
        """Pixels of tokens."""
        return self.wrapped.decode_tokens(tokens).float()


def networks_alone(program: Program) -> Program:
    """The same program with nothing but its backbone and decoder."""
    parts = [tuple(op for op in part if op.label in NETWORKS) for part in program.parts]
    return replace(program, begin=parts[0], steps=tuple(parts[1:-1]), end=parts[-1])


def request(batch: int) -> tuple[Any, Any]:
    """Labels and seeds."""
    return np.arange(batch) % 10, np.arange(batch) + 2**40
