"""A codebook and its nearest-neighbour search."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Codebook(nn.Module):
    """A table of codes and the nearest-neighbour search in it."""

    def __init__(self, vocabulary: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)

    @torch.no_grad()
    def nearest(self, maps: Tensor) -> Tensor:
        """Find indices (B, h, w) of the codes nearest to the columns of maps (B, width, h, w)."""
        columns = maps.movedim(1, -1).flatten(0, -2).float()
        codes = self.embedding.weight.float()
        # |x|^2 is the same for every code, so the ranking does not need it.
        distance = codes.square().sum(dim=1) - 2.0 * columns @ codes.T
        return distance.argmin(dim=1).reshape(maps.shape[0], *maps.shape[2:])

    def lookup(self, indices: Tensor) -> Tensor:
        """Look up the codes (B, width, h, w) of indices (B, h, w)."""
        return self.embedding(indices).movedim(-1, 1)
