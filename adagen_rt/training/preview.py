"""What a generator has learnt so far: samples on its static schedule."""

from __future__ import annotations

import torch
from torch import Tensor

from adagen_rt.training.environment import Environment, Tensors

PER_CLASS = 6
MAX_CLASSES = 10


@torch.no_grad()
def sample_images(environment: Environment, labels: Tensor, seeds: Tensor) -> Tensor:
    """Images (B, c, H, W) in [0, 1] of labels (B,) and seeds (B,), without a policy."""

    def static(features: Tensors, call: Tensor) -> Tensor:
        return torch.zeros(len(call), environment.actions, device=call.device)

    loop = environment.loop(static)
    index, labels, seeds = (
        rows.to(environment.device) for rows in (torch.arange(len(labels)), labels, seeds)
    )
    state, _ = loop.start(index, labels, seeds)
    for _ in range(environment.family.steps):
        state, _ = loop.step(state)
    return environment.decode(environment.family.latents(state))


def preview_images(environment: Environment) -> Tensor:
    """The same few samples of the first classes every time, a column a class."""
    labels = torch.arange(min(environment.manifest.class_count, MAX_CLASSES)).repeat(PER_CLASS)
    return sample_images(environment, labels, torch.arange(len(labels)))
