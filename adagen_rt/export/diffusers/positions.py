"""Positions of patches of latents, at whatever size these have."""

from __future__ import annotations

import torch
from diffusers.models.embeddings import PatchEmbed
from torch import Tensor, nn

from adagen_rt.models.layers import MAX_PERIOD


class OpenPatches(nn.Module):
    """A `PatchEmbed` with positions, which may be traced once for all sizes.

    Args:
        embed: The original.
    """

    def __init__(self, embed: PatchEmbed) -> None:
        super().__init__()
        self.embed = embed
        self.places: nn.Module = (Table if embed.pos_embed_max_size else Waves)(embed)

    def forward(self, latents: Tensor) -> Tensor:
        """Embed latents (R, C, H, W): patches (R, N, D)."""
        embed = self.embed
        rows, columns = (side // embed.patch_size for side in latents.shape[-2:])
        patches: Tensor = embed.proj(latents).flatten(2).transpose(1, 2)
        return patches + self.places(rows, columns, latents.device)


class Table(nn.Module):
    """Positions that are cut out of the middle of a table.

    The original cuts at half of a difference, which the graph rounds towards zero.

    Args:
        embed: Has the table.
    """

    table: Tensor

    def __init__(self, embed: PatchEmbed) -> None:
        super().__init__()
        self.most = embed.pos_embed_max_size
        self.register_buffer("table", embed.pos_embed.unflatten(1, (self.most, self.most)))

    def forward(self, rows: int, columns: int, device: torch.device) -> Tensor:
        """Give positions (1, N, D)."""
        down, across = (_middle(self.most, count).to(device) for count in (rows, columns))
        return self.table.index_select(1, down).index_select(2, across).flatten(1, 2)


class Waves(nn.Module):
    """Positions of a grid that is stretched over the original's, as sines and cosines.

    The original computes them in double precision, which TensorRT has not. Its positions end
    before some hundred, so that single precision is exact to 1e-5.

    Args:
        embed: Has the original's grid.
    """

    frequencies: Tensor

    def __init__(self, embed: PatchEmbed) -> None:
        super().__init__()
        self.span = embed.base_size / embed.interpolation_scale
        count = embed.pos_embed.shape[-1] // 4
        exponents = torch.arange(count, dtype=torch.float64) / count
        self.register_buffer("frequencies", (MAX_PERIOD**-exponents).to(embed.pos_embed))

    def forward(self, rows: int, columns: int, device: torch.device) -> Tensor:
        """Give positions (1, N, D): half of them the column's, half the row's."""
        down, across = (self._along(count, device) for count in (rows, columns))
        across = across[None].expand(rows, -1, -1)
        down = down[:, None].expand(-1, columns, -1)
        return torch.cat([across, down], dim=-1).flatten(0, 1)[None]

    def _along(self, count: int, device: torch.device) -> Tensor:
        frequencies = self.frequencies
        whole = torch.scalar_tensor(count, dtype=frequencies.dtype, device=device)
        places = torch.arange(count, dtype=frequencies.dtype, device=device) * self.span / whole
        angles = places[:, None] * frequencies
        return torch.cat([angles.sin(), angles.cos()], dim=1)


def open_patches(transformer: nn.Module) -> None:
    """Let patches that have positions have any size."""
    for name, module in list(transformer.named_modules()):
        if isinstance(module, PatchEmbed) and module.pos_embed is not None:
            transformer.set_submodule(name, OpenPatches(module))


def _middle(most: int, count: int) -> Tensor:
    """List the middle ``count`` places of ``most``; of an odd rest, more follow than precede."""
    # (most - count) // 2 without a negative number, which the graph would round the other way.
    return torch.arange(count) + (most // 2 - (count + 1 - most % 2) // 2)
