"""Training of VAR: the network predicts every scale from the true tokens of earlier scales."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from adagen_rt.families.var.network import VAR
from adagen_rt.models.multiscale import MultiScaleQuantizer
from adagen_rt.models.task import GeneratorTask


class VARTask(GeneratorTask):
    """Cross entropy of every scale's tokens given the coarser ones (arXiv 2404.02905).

    Args:
        quantizer: The tokenizer's quantiser, which computes the network's inputs from tokens.
    """

    network: VAR

    def __init__(self, network: VAR, *examples: Any, quantizer: MultiScaleQuantizer) -> None:
        super().__init__(network, *examples)
        self.quantizer = quantizer

    def loss(self, places: Tensor, generator: torch.Generator) -> Tensor:
        """Predict all scales at once."""
        tokens, rows = self.examples(places, generator)
        tokens = tokens.long()
        with torch.no_grad():
            inputs, _ = self.quantizer.teacher_inputs(tokens)
        logits = self.network.teacher(inputs=inputs, **rows)
        return F.cross_entropy(logits.float().flatten(0, 1), tokens.flatten())
