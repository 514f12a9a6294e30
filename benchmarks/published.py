"""Whole generations as published, in plain PyTorch: the baseline of ``latency.py``.

The networks are those of ``adagen_rt/models``; the loops are written out, and do what the
published sampling code does and the runtime does not: MaskGIT evaluates once more than it
samples, conditional and null rows are separate passes, tokens are sampled one sample at a
time, and the policy embeds its step anew at every call. ``published_var.py`` has VAR's loop.
"""

from __future__ import annotations

from typing import Any

import eager
import torch
from published_base import Actions, Published, Random
from published_var import var
from torch import Tensor

from adagen_rt.families.diffusion.solvers import SOLVERS
from adagen_rt.families.diffusion.spec import TIME_MARGIN
from adagen_rt.ops.reference import solver_update
from adagen_rt.ops.solver import PROCESSES


@torch.no_grad()
def make_latents(published: Published, labels: Tensor, random: Random) -> Tensor:
    """What the decoder is given, for labels (B,) int64."""
    loops = {"maskgit": maskgit, "var": var, "dit": diffusion, "sit": diffusion}
    return loops[published.manifest.family.family](published, labels, random)


@torch.no_grad()
def make_images(published: Published, labels: Tensor, random: Random) -> Tensor:
    """Images (B, c, H, W) uint8."""
    low, high = published.manifest.image.pixel_range
    pixels = published.decode(make_latents(published, labels, random))
    return ((pixels - low) * (255 / (high - low))).clamp(0, 255).round().byte()


def maskgit(published: Published, labels: Tensor, random: Random) -> Tensor:
    """Tokens (B, N) after all steps; one more conditional evaluation than there are steps."""
    spec: Any = published.manifest.family
    steps = published.manifest.schedule.steps
    actions, null = Actions(published, steps), published.null(labels)
    sampled = tokens = torch.full((len(labels), spec.tokens), spec.mask_id)
    cond, features = published.backbone(tokens, labels)
    for step in range(steps):
        chosen = actions(features, step)
        uncond, _ = published.backbone(tokens, null)
        rows = [
            _maskgit_sample(cond, uncond, chosen, tokens, spec.mask_id, random.step(row, step), row)
            for row in range(len(labels))
        ]
        sampled, tokens = (torch.cat(parts) for parts in zip(*rows, strict=True))
        cond, features = published.backbone(tokens, labels)
    return sampled


def _maskgit_sample(
    cond: Tensor,
    null: Tensor,
    chosen: dict[str, Tensor],
    tokens: Tensor,
    mask_id: int,
    noise: eager.Noise,
    row: int,
) -> tuple[Tensor, Tensor]:
    """Sample one row, (1, N) all tokens and (1, N) those that stay."""
    own = slice(row, row + 1)
    sampled, confidence = eager.guided_sample(
        cond[own],
        null[own],
        chosen["guidance_scale"][own],
        chosen["sampling_temperature"][own],
        chosen["confidence_temperature"][own],
        tokens[own],
        mask_id,
        noise,
    )
    return sampled, eager.remask(sampled, confidence, chosen["mask_ratio"][own], mask_id)


def diffusion(published: Published, labels: Tensor, random: Random) -> Tensor:
    """Latents (B, C, H, W) after all solver steps, of two evaluations each."""
    spec: Any = published.manifest.family
    steps = published.manifest.schedule.steps
    actions = Actions(published, steps + 1)
    x = random.normal(len(labels), (spec.channels, *spec.size))
    process = "vp" if spec.family == "dit" else "linear"
    first = actions(torch.zeros(len(labels), spec.tokens, spec.width), 0)["time"]
    start = time = _inside(first, process)
    anchor, data, solver = torch.zeros_like(x), torch.zeros_like(x), SOLVERS["dpmpp_2s"]
    for step in range(steps):
        cond, features = published.backbone(x, time, labels)
        uncond, _ = published.backbone(x, time, published.null(labels))
        chosen, phase = actions(features, step + 1), torch.full_like(labels, step % 2)
        after = _after(time, chosen["time"], process)
        start, middle = (time, after) if step % 2 == 0 else (start, time)
        times, guidance = torch.stack([start, middle, after], 1), chosen["guidance_scale"]
        x, anchor, data = solver_update(
            x, anchor, data, cond, uncond, guidance, times, phase, PROCESSES[process], solver
        )
        time = after
    return x


def _after(time: Tensor, chosen: Tensor, process: str) -> Tensor:
    """The time chosen, at least one margin further on."""
    if process == "vp":
        return _inside(torch.minimum(chosen, time - TIME_MARGIN), process)
    return _inside(torch.maximum(chosen, time + TIME_MARGIN), process)


def _inside(time: Tensor, process: str) -> Tensor:
    if process == "vp":
        return time.clamp(min=TIME_MARGIN)
    return time.clamp(max=1 - TIME_MARGIN)
