"""What the published loops share: the networks, the policy's actions, the noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import eager
import torch
from torch import Tensor

from adagen_rt.engine.manifest import Manifest
from adagen_rt.engine.schedule import Schedule
from adagen_rt.export.networks import Networks
from adagen_rt.models.autoencoder import TokenDecoder

Module = Callable[..., Any]


class Random(Protocol):
    """What is random in a generation."""

    def normal(self, count: int, shape: tuple[int, ...]) -> Tensor:
        """The latents to start from (count, *shape) float32."""

    def step(self, sample: int, step: int) -> eager.Noise:
        """Noise of one sample's step."""


class TorchRandom:
    """The library's own generator."""

    def normal(self, count: int, shape: tuple[int, ...]) -> Tensor:
        """The latents to start from (count, *shape) float32."""
        return torch.randn(count, *shape)

    def step(self, sample: int, step: int) -> eager.Noise:
        """Noise of one sample's step."""
        return eager.TORCH_NOISE


@dataclass
class Published:
    """A generator's networks, and what its loop needs to know.

    Attributes:
        manifest: The family, its sizes and the schedule.
        networks: With a policy.
        backbone: ``networks.backbone``, or what a compiler made of it; so are the next two.
        policy: From features (B, N, C) and the step (B,) to raw actions (B, A).
        decode: From tokens (B, N) or latents (B, C, H, W) to images (B, c, H, W).
    """

    manifest: Manifest
    networks: Networks
    backbone: Module
    policy: Module
    decode: Module

    @classmethod
    def of(cls, manifest: Manifest, networks: Networks, wrap: Module = lambda m: m) -> Published:
        """Each network wrapped, for example by ``torch.compile``."""
        decoder: Any = networks.decoder.eval()
        maskgit = manifest.family.family == "maskgit"
        decode = TokenDecoder(decoder, manifest.family.feature_map) if maskgit else decoder.decode
        assert networks.policy is not None
        backbone, policy = networks.backbone.eval(), networks.policy.eval()
        return cls(manifest, networks, wrap(backbone), wrap(policy), wrap(decode))

    def null(self, labels: Tensor) -> Tensor:
        """The null label for each of labels (B,)."""
        null: Tensor = self.manifest.condition.null({"labels": labels})["labels"]
        return null


class Actions:
    """Asks the policy and remembers what smoothing needs.

    Args:
        published: The generator.
        calls: Policy calls of a generation.
    """

    def __init__(self, published: Published, calls: int) -> None:
        spec = published.manifest.schedule
        self._policy = published.policy
        self._schedule = Schedule(spec, spec.steps, calls)
        self._smoothed = torch.zeros(1, len(spec.actions))

    def __call__(self, features: Tensor, call: int) -> dict[str, Tensor]:
        """Actions by name, each (B,), from features (B, N, C) at one policy call."""
        step = torch.full(features.shape[:1], call)
        raw = self._policy(features, step)
        actions, self._smoothed = self._schedule.decide(raw, step, self._smoothed)
        return actions
