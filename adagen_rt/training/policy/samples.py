"""Images of a generator, with nothing recorded."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from adagen_rt.sampling.loop import Loop
from adagen_rt.sampling.request import Request
from adagen_rt.sampling.result import Result
from adagen_rt.training.policy.environment import Environment, Tensors

PER_CLASS = 6
MAX_CLASSES = 10


@torch.no_grad()
def sample_images(
    environment: Environment, labels: Tensor, seeds: Tensor, batch_size: int = 250
) -> Tensor:
    """Generate images (B, c, H, W) in [0, 1] under the static schedule.

    Args:
        environment: The frozen generator.
        labels: Classes (B,) int64.
        seeds: Seeds (B,) int64 in [0, 2**63).
        batch_size: Samples that are generated together.
    """
    loop = environment.loop(partial(no_change, environment.actions))
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


@torch.no_grad()
def run_loop(environment: Environment, loop: Loop, request: Request) -> Result:
    """One image of every sample, as an engine makes it; slots that end cost nothing more.

    Args:
        environment: Where the loop comes from.
        loop: What to run. Its timings, which are the result's, go on from where they are.
        request: The samples, all at once.
    """
    labels, seeds = (torch.from_numpy(x) for x in (request.labels, request.seeds))
    where = (x.to(environment.device) for x in (torch.arange(len(labels)), labels, seeds))
    state, _ = loop.start(*where)
    spec, failures = environment.manifest.image, dict[int, int]()
    images = torch.zeros(len(labels), spec.channels, spec.size, spec.size)
    while len(state):
        ended, state = loop.split(loop.step(state)[0])
        if not len(ended):
            continue
        images[ended.index.cpu()] = environment.decode(loop.family.latents(ended)).cpu()
        steps = zip(
            ended.index[ended.failed].tolist(), ended.step[ended.failed].tolist(), strict=True
        )
        failures |= dict(steps)
    images[list(failures)] = 0
    pixels = (images * 255).round().byte().movedim(1, -1).numpy()
    return Result(pixels, request.labels, request.seeds, {}, failures, loop.timings)
