"""Training tasks of the generators: codes or latents of images in, predictions out."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adagen_rt.families.diffusion.network import DiT
from adagen_rt.families.maskgit.network import MaskGIT
from adagen_rt.families.var.network import VAR
from adagen_rt.models.multiscale import MultiScaleQuantizer
from adagen_rt.training.demo.loop import Previewer
from adagen_rt.training.random import normal, uniform

# Share of the examples trained with the null class, which guidance subtracts.
LABEL_DROPOUT = 0.1


class GeneratorTask(ABC):
    """What the generator tasks share: examples are encoded images with labels.

    Args:
        network: The generator.
        codes: Encoded images, whatever the generator takes, first axis the examples.
        labels: (N,) int64 classes.
        null_class: The label that stands for no class.
        previewer: Draws images with a network; without one there are no previews.
    """

    def __init__(
        self,
        network: nn.Module,
        codes: Tensor,
        labels: Tensor,
        null_class: int,
        previewer: Previewer | None = None,
    ) -> None:
        self.network, self.codes, self.labels = network, codes, labels
        self.null_class, self.previewer = null_class, previewer
        self.size = len(codes)

    @abstractmethod
    def loss(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """The mean loss of the examples numbered `rows`."""

    def examples(self, rows: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Codes and labels of the examples numbered `rows`, some with the null label."""
        dropped = uniform((len(rows),), generator) < LABEL_DROPOUT
        return self.codes[rows], self.labels[rows].masked_fill(dropped, self.null_class)

    def preview(self, network: nn.Module) -> Tensor | None:
        """Samples of every class."""
        return None if self.previewer is None else self.previewer(network)


class MaskGITTask(GeneratorTask):
    """Cross entropy of masked tokens, at a cosine-distributed mask rate (arXiv 2202.04200)."""

    network: MaskGIT

    def loss(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Masks at least one token of every example and predicts the masked ones."""
        tokens, labels = self.examples(rows, generator)
        tokens = tokens.long()
        rate = torch.cos(0.5 * math.pi * uniform((len(rows), 1), generator))
        order = uniform(tokens.shape, generator).argsort(dim=1)
        masked = order < (rate * tokens.shape[1]).ceil().clamp(min=1)
        inputs = tokens.masked_fill(masked, self.network.config.vocabulary)
        logits, _ = self.network(inputs, labels)
        return F.cross_entropy(logits[masked], tokens[masked])


class DiTTask(GeneratorTask):
    """Noise prediction under the variance-preserving process (arXiv 2212.09748)."""

    network: DiT

    def loss(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Squared error of the noise, at a uniform time."""
        latents, labels = self.examples(rows, generator)
        time = uniform((len(rows),), generator)
        noise = normal(latents.shape, generator)
        alpha = torch.exp(-(time**2) * (20.0 - 0.1) / 4.0 - 0.1 * time / 2.0)[:, None, None, None]
        noisy = alpha * latents + (1.0 - alpha**2).sqrt() * noise
        prediction, _ = self.network(noisy, time, labels)
        return F.mse_loss(prediction.float(), noise)


class SiTTask(GeneratorTask):
    """Velocity prediction on the straight path from noise to data (arXiv 2401.08740)."""

    network: DiT

    def loss(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Squared error of the velocity, at a uniform time."""
        latents, labels = self.examples(rows, generator)
        time = uniform((len(rows),), generator)
        noise = normal(latents.shape, generator)
        share = time[:, None, None, None]
        prediction, _ = self.network(share * latents + (1.0 - share) * noise, time, labels)
        return F.mse_loss(prediction.float(), latents - noise)


class VARTask(GeneratorTask):
    """Cross entropy of every scale's tokens given the coarser ones (arXiv 2404.02905).

    Args:
        quantizer: The tokenizer's quantiser, which makes the inputs of tokens.
    """

    network: VAR

    def __init__(
        self,
        network: VAR,
        codes: Tensor,
        labels: Tensor,
        null_class: int,
        previewer: Previewer | None = None,
        *,
        quantizer: MultiScaleQuantizer,
    ) -> None:
        super().__init__(network, codes, labels, null_class, previewer)
        self.quantizer = quantizer

    def loss(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """All scales at once, each seeing the true tokens of those before it."""
        tokens, labels = self.examples(rows, generator)
        tokens = tokens.long()
        with torch.no_grad():
            inputs, _ = self.quantizer.teacher_inputs(tokens)
        logits = self.network.teacher(labels, inputs)
        return F.cross_entropy(logits.float().flatten(0, 1), tokens.flatten())
