"""How MaskGIT is trained: tokens are masked at random and predicted."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from adagen_rt.families.maskgit.network import MaskGIT
from adagen_rt.training.demo.objectives import GeneratorTask
from adagen_rt.training.random import uniform


class MaskGITTask(GeneratorTask):
    """Cross entropy of masked tokens, at a cosine-distributed mask rate (arXiv 2202.04200)."""

    network: MaskGIT

    def loss(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Mask at least one token of every example and predict the masked ones."""
        tokens, labels = self.examples(rows, generator)
        tokens = tokens.long()
        rate = torch.cos(0.5 * math.pi * uniform((len(rows), 1), generator))
        order = uniform(tokens.shape, generator).argsort(dim=1)
        masked = order < (rate * tokens.shape[1]).ceil().clamp(min=1)
        inputs = tokens.masked_fill(masked, self.network.config.vocabulary)
        logits, _ = self.network(inputs, labels)
        return F.cross_entropy(logits[masked], tokens[masked])
