"""What the training tasks of the families' backbones share."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from adagen_rt.training.demo.loop import Previewer
from adagen_rt.training.random import uniform

#: Share of the examples trained with the null class, which guidance subtracts.
LABEL_DROPOUT = 0.1


class GeneratorTask(ABC):
    """A generator's task: its examples are encoded images with labels.

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
        """Give the mean loss of the examples numbered `rows`."""

    def examples(self, rows: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Give codes and labels of the examples numbered `rows`, some with the null label."""
        dropped = uniform((len(rows),), generator) < LABEL_DROPOUT
        return self.codes[rows], self.labels[rows].masked_fill(dropped, self.null_class)

    def preview(self, network: nn.Module) -> Tensor | None:
        """Draw samples of every class."""
        return None if self.previewer is None else self.previewer(network)
