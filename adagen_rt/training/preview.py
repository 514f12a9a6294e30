"""Small samplers that show, during training, what a generator has learnt.

They follow the families' rules with fixed schedules; the runtime's step rules, which a policy
drives, are in `adagen_rt.families`.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor

from adagen_rt.models.dit import DiT
from adagen_rt.models.maskgit import MaskGIT
from adagen_rt.models.multiscale import MultiScaleQuantizer
from adagen_rt.models.var import VAR


def sample_maskgit(
    network: MaskGIT,
    labels: Tensor,
    generator: torch.Generator,
    steps: int = 16,
    guidance: float = 1.0,
) -> Tensor:
    """Tokens (B, N) by confidence-ordered unmasking on the published static schedule."""
    config = network.config
    tokens = torch.full((len(labels), config.tokens), config.vocabulary)
    both = torch.cat([labels, torch.full_like(labels, config.classes)])
    for step in range(steps):
        cond, null = network(torch.cat([tokens, tokens]), both)[0].chunk(2)
        logits = cond + guidance * step / steps * (cond - null)
        sampled = (logits + _gumbel(logits.shape, generator)).argmax(dim=-1)
        masked = tokens == config.vocabulary
        sampled = torch.where(masked, sampled, tokens)
        ratio = (step + 1) / steps
        confidence = logits.log_softmax(-1).gather(-1, sampled[..., None])[..., 0]
        confidence = confidence.masked_fill(~masked, torch.inf)
        confidence = confidence + (1 - ratio) * _gumbel(confidence.shape, generator)
        again = int(config.tokens * math.cos(0.5 * math.pi * ratio))
        rank = confidence.argsort(dim=1).argsort(dim=1)
        tokens = sampled.masked_fill(rank < again, config.vocabulary)
    return tokens


def sample_diffusion(
    network: DiT,
    labels: Tensor,
    generator: torch.Generator,
    steps: int = 32,
    guidance: float = 1.0,
) -> Tensor:
    """Latents (B, C, H, W) by first-order data-prediction steps on uniform times."""
    config = network.config
    x = torch.randn(len(labels), config.channels, config.size, config.size, generator=generator)
    both = torch.cat([labels, torch.full_like(labels, config.classes)])
    falling = config.process == "vp"
    first, last = (0.9, 0.01) if falling else (0.01, 0.99)
    times = torch.linspace(first, last, steps + 1)
    for now, after in pairwise(times):
        cond, null = network(torch.cat([x, x]), now.expand(len(both)), both)[0].chunk(2)
        guided = cond + guidance * (cond - null)
        noise = guided if falling else x - now * guided
        (alpha, sigma), (next_alpha, next_sigma) = _process(now, falling), _process(after, falling)
        x = next_alpha * (x - sigma * noise) / alpha + next_sigma * noise
    return x


def sample_var(
    network: VAR,
    quantizer: MultiScaleQuantizer,
    labels: Tensor,
    generator: torch.Generator,
    guidance: float = 1.5,
    top_k: int = 100,
) -> Tensor:
    """The sum of refined scales (B, width, H, W), recomputing the coarser scales each time."""
    both = torch.cat([labels, torch.full_like(labels, network.config.classes)])
    last = len(quantizer.scales) - 1
    length = quantizer.span(last).stop
    tokens = torch.zeros(len(labels), length, dtype=torch.int64)
    for scale in range(last + 1):
        span = quantizer.span(scale)
        inputs, _ = quantizer.teacher_inputs(tokens)
        cond, null = network.teacher(both, torch.cat([inputs, inputs]))[:, span].chunk(2)
        strength = guidance * scale / last
        logits = (1 + strength) * cond - strength * null
        floor = logits.topk(min(top_k, logits.shape[-1]), dim=-1).values[..., -1:]
        logits = logits.masked_fill(logits < floor, -torch.inf)
        tokens[:, span] = (logits + _gumbel(logits.shape, generator)).argmax(dim=-1)
    return quantizer.teacher_inputs(tokens)[1]


def _gumbel(shape: torch.Size, generator: torch.Generator) -> Tensor:
    return -torch.empty(shape).exponential_(generator=generator).log()


def _process(time: Tensor, falling: bool) -> tuple[Tensor, Tensor]:
    """Data and noise scales at a time."""
    if not falling:
        return time, 1.0 - time
    alpha = torch.exp(-(time**2) * (20.0 - 0.1) / 4.0 - 0.1 * time / 2.0)
    return alpha, (1.0 - alpha**2).sqrt()
