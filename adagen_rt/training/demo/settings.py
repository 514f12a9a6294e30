"""Settings of the training loop."""

from __future__ import annotations

import math
from dataclasses import dataclass

from adagen_rt.errors import InputError


@dataclass(frozen=True)
class LoopConfig:
    """Settings of the training loop.

    Args:
        steps: Optimizer steps; the learning rate falls to a hundredth over them.
        batch_size: Examples a step.
        learning_rate: Peak of the learning rate.
        warmup: Steps of linear warm-up.
        weight_decay: AdamW's decay of matrices and convolutions.
        average: Largest decay of the exponential moving average of the weights.
        clip: Largest norm of the gradient.
        seed: Seed of everything.
        bf16: Whether to compute in bfloat16 where autocast finds it safe, and the processor
            has it.
        compile: Whether to compile the network, which needs a C++ compiler and pays off in
            runs of many minutes.
        save_every: Steps between checkpoints.
        preview_every: Steps between sample grids.
    """

    steps: int
    batch_size: int = 128
    learning_rate: float = 1e-3
    warmup: int = 100
    weight_decay: float = 0.02
    average: float = 0.999
    clip: float = 1.0
    seed: int = 0
    bf16: bool = True
    compile: bool = False
    save_every: int = 500
    preview_every: int = 1000

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "save_every", "preview_every"):
            if getattr(self, name) < 1:
                raise InputError(name, getattr(self, name), "at least 1")
        for name in ("learning_rate", "clip"):
            if not getattr(self, name) > 0:
                raise InputError(name, getattr(self, name), "a number above 0")
        if not 0 <= self.average < 1:
            raise InputError("average", self.average, "a number from 0 to below 1")


@dataclass(frozen=True)
class TokenizerConfig(LoopConfig):
    """Settings of a tokenizer's training.

    Args:
        divergence: Weight of a continuous posterior's divergence from a normal, summed over the
            latents of an image, beside the mean error of its pixels.
    """

    divergence: float = 1e-4

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.divergence < math.inf:
            raise InputError("divergence", self.divergence, "a number of at least 0")
