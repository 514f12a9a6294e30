"""Common part of the training tasks of the families' backbones."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

from adagen_rt.condition import ConditionSpec, take_rows
from adagen_rt.models.random import uniform

#: Share of the examples trained with the null condition, which guidance subtracts.
CONDITION_DROPOUT = 0.1

Previewer = Callable[[nn.Module], Tensor]
Rows = dict[str, Tensor]


class GeneratorTask(ABC):
    """A generator's training task, whose examples are encoded images and their conditions.

    Args:
        network: The generator.
        codes: Encoded images (N, ...) in the generator's form, tokens or latents.
        rows: Conditions of the images, named tensors (N, ...).
        condition: The kind of condition.
        previewer: Draws images with a network; without one there are no previews.
    """

    def __init__(
        self,
        network: nn.Module,
        codes: Tensor,
        rows: Rows,
        condition: ConditionSpec,
        previewer: Previewer | None = None,
    ) -> None:
        self.network, self.codes, self.rows = network, codes, rows
        self.condition, self.previewer = condition, previewer
        self.size = len(codes)

    @abstractmethod
    def loss(self, places: Tensor, generator: torch.Generator) -> Tensor:
        """Give the mean loss of the examples numbered `places`."""

    def examples(self, places: Tensor, generator: torch.Generator) -> tuple[Tensor, Rows]:
        """Give codes and conditions of the examples numbered `places`, some of them null."""
        dropped = uniform((len(places),), generator) < CONDITION_DROPOUT
        rows = take_rows(self.rows, places)
        null, names = self.condition.null(rows), self.condition.tensors
        return self.codes[places], {n: _pick(dropped, null[n], rows[n]) for n in names}

    def preview(self, network: nn.Module) -> Tensor | None:
        """Draw samples of every condition."""
        return None if self.previewer is None else self.previewer(network)


def _pick(chosen: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Pick rows (n, ...) of the first where chosen (n,), else of the second."""
    return torch.where(chosen.reshape(-1, *[1] * (first.ndim - 1)), first, second)
