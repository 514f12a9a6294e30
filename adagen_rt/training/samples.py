"""Images of a generator under its static schedule or a policy, with nothing recorded."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from adagen_rt.training.environment import Environment, Tensors
from adagen_rt.training.rollout import ask

PER_CLASS = 6
MAX_CLASSES = 10


@torch.no_grad()
def sample_images(
    environment: Environment,
    labels: Tensor,
    seeds: Tensor,
    policy: nn.Module | None = None,
    batch_size: int = 250,
) -> Tensor:
    """Generate images (B, c, H, W) in [0, 1].

    Args:
        environment: The frozen generator.
        labels: Classes (B,) int64.
        seeds: Seeds (B,) int64 in [0, 2**63).
        policy: From `environment.multi_scale`; None leaves the static schedule as it is.
        batch_size: Samples that are generated together.
    """
    decide = partial(no_change, environment.actions) if policy is None else partial(ask, policy)
    loop = environment.loop(decide)
    images = []
    for rows in torch.arange(len(labels)).split(batch_size):
        where = (part.to(environment.device) for part in (rows, labels[rows], seeds[rows]))
        state, _ = loop.start(*where)
        for _ in range(environment.family.steps):
            state, _ = loop.step(state)
        images.append(environment.decode(environment.family.latents(state)))
    return torch.cat(images)


def preview_images(environment: Environment) -> Tensor:
    """The same few samples of the first classes every time, a column a class."""
    labels = torch.arange(min(environment.manifest.class_count, MAX_CLASSES)).repeat(PER_CLASS)
    return sample_images(environment, labels, torch.arange(len(labels)))


def no_change(actions: int, features: Tensors, call: Tensor) -> Tensor:
    """Zeros (B, A): the static schedule."""
    return torch.zeros(len(call), actions, device=call.device)
