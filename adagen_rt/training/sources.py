"""Where images to be scored come from: an engine, or the PyTorch networks it is made of."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from adagen_rt.errors import InputError
from adagen_rt.generator import Generator
from adagen_rt.manifest import Manifest
from adagen_rt.models.policy import PolicyNetwork
from adagen_rt.training.environment import Environment
from adagen_rt.training.evaluation import to_unit
from adagen_rt.training.samples import sample_images

ScheduleName = Literal["policy", "static", "tuned"]
Tick = Callable[[int], object]
"""Told how many images have been made since the last call."""


class Source(Protocol):
    """Generates images under one of its schedules.

    Attributes:
        manifest: What is generated, and with which schedules.
        schedules: Which of them there are.
    """

    manifest: Manifest
    schedules: tuple[ScheduleName, ...]

    def images(
        self, labels: Tensor, seeds: Tensor, schedule: ScheduleName, steps: int, tick: Tick
    ) -> Tensor:
        """Images (N, c, H, W) in [0, 1] of labels and seeds (N,) int64."""


def _schedules(manifest: Manifest, adaptive: bool) -> tuple[ScheduleName, ...]:
    names: tuple[ScheduleName, ...] = ("static",)
    names += ("tuned",) if manifest.schedule.tuned is not None else ()
    return (*names, "policy") if adaptive else names


class EngineSource:
    """An engine as users run it.

    Args:
        generator: The engine, loaded.
        batch_size: Images made together.
    """

    def __init__(self, generator: Generator, batch_size: int = 50) -> None:
        self.generator, self.batch_size = generator, batch_size
        self.manifest = generator.manifest
        self.schedules = _schedules(self.manifest, generator.has_policy)

    def images(
        self, labels: Tensor, seeds: Tensor, schedule: ScheduleName, steps: int, tick: Tick
    ) -> Tensor:
        """See `Source`."""
        static: dict[ScheduleName, bool | Literal["tuned"]]
        static = {"policy": False, "static": True, "tuned": "tuned"}
        parts = []
        for rows in torch.arange(len(labels)).split(self.batch_size):
            result = self.generator.generate(
                labels[rows].tolist(),
                seeds[rows].tolist(),
                steps=steps,
                static=static[schedule],
                batch_size=self.batch_size,
            )
            tick(len(rows))
            parts.append(to_unit(result.images))
        return torch.cat(parts)


class NetworkSource:
    """A generator's networks in PyTorch, on any device: as the trainer runs them.

    Args:
        manifest: What they are.
        backbone: The generator.
        decoder: Makes the images.
        policy: Trained; None if there is none.
        device: PyTorch's name of a device.
        batch_size: Images made together.
    """

    def __init__(
        self,
        manifest: Manifest,
        backbone: nn.Module,
        decoder: nn.Module,
        policy: PolicyNetwork | None,
        device: str = "cpu",
        batch_size: int = 250,
    ) -> None:
        self.manifest, self.backbone, self.decoder = manifest, backbone, decoder
        self.policy, self.device, self.batch_size = policy, device, batch_size
        self.schedules = _schedules(manifest, policy is not None)

    def images(
        self, labels: Tensor, seeds: Tensor, schedule: ScheduleName, steps: int, tick: Tick
    ) -> Tensor:
        """See `Source`."""
        environment = self._environment(schedule, steps)
        policy = self._policy(environment) if schedule == "policy" else None
        draw = partial(sample_images, environment, policy=policy, batch_size=self.batch_size)
        parts = []
        for rows in torch.arange(len(labels)).split(self.batch_size):
            parts.append(draw(labels[rows], seeds[rows]))
            tick(len(rows))
        return torch.cat(parts)

    def _environment(self, schedule: ScheduleName, steps: int) -> Environment:
        spec = self.manifest.schedule.model_copy(update={"steps": steps})
        if schedule == "tuned":
            spec = spec.tuned_spec()
        manifest = self.manifest.model_copy(update={"schedule": spec})
        return Environment(manifest, self.backbone, self.decoder, self.device)

    def _policy(self, environment: Environment) -> nn.Module:
        if self.policy is None:
            raise InputError("schedule", "policy", "a generator with a trained policy")
        if environment.schedule.steps != self.manifest.schedule.steps:
            expected = f"the {self.manifest.schedule.steps} that the policy was trained for"
            raise InputError("steps", environment.schedule.steps, expected)
        return environment.multi_scale(self.policy)


def draw_requests(count: int, classes: int, seed: int) -> tuple[Tensor, Tensor]:
    """Labels and seeds of an evaluation: the classes in turn, seeds from `seed` million on.

    Training and searching use small seeds and random ones; these are new to a policy.
    """
    numbers = torch.arange(count)
    return numbers % classes, numbers + 1_000_000 * (seed + 1)
