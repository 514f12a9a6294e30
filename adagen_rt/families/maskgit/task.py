"""Training of MaskGIT: the network predicts tokens that are masked at random."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from adagen_rt.families.maskgit.network import MaskGIT
from adagen_rt.models.random import uniform
from adagen_rt.models.task import GeneratorTask


class MaskGITTask(GeneratorTask):
    """Cross entropy of masked tokens, at a cosine-distributed mask rate (arXiv 2202.04200)."""

    network: MaskGIT

    def loss(self, places: Tensor, generator: torch.Generator) -> Tensor:
        """Mask at least one token of every example and predict the masked ones."""
        tokens, rows = self.examples(places, generator)
        tokens = tokens.long()
        rate = torch.cos(0.5 * math.pi * uniform((len(places), 1), generator))
        order = uniform(tokens.shape, generator).argsort(dim=1)
        masked = order < (rate * tokens.shape[1]).ceil().clamp(min=1)
        inputs = tokens.masked_fill(masked, self.network.config.vocabulary)
        logits, _ = self.network(inputs, **rows)
        return F.cross_entropy(logits[masked], tokens[masked])
