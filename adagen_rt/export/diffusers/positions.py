"""Positions of patches that are cut out of a table, at whatever size latents have."""

from __future__ import annotations

import torch
from diffusers.models.embeddings import PatchEmbed
from torch import Tensor, nn


class OpenPatches(nn.Module):
    """A `PatchEmbed` with a table of positions, which may be traced once for all sizes.

    The original cuts its table at half of a difference, which the graph rounds towards zero.

    Args:
        embed: The original.
    """

    def __init__(self, embed: PatchEmbed) -> None:
        super().__init__()
        self.embed = embed

    def forward(self, latents: Tensor) -> Tensor:
        """Embed latents (R, C, H, W): patches (R, N, D)."""
        embed, most = self.embed, self.embed.pos_embed_max_size
        counts = (side // embed.patch_size for side in latents.shape[-2:])
        rows, columns = (_middle(most, count).to(latents.device) for count in counts)
        table = embed.pos_embed.unflatten(1, (most, most))
        places = table.index_select(1, rows).index_select(2, columns).flatten(1, 2)
        patches: Tensor = embed.proj(latents).flatten(2).transpose(1, 2)
        return patches + places


def open_patches(transformer: nn.Module) -> None:
    """Let patches whose positions are cut out of a table have any size."""
    for name, module in list(transformer.named_modules()):
        if isinstance(module, PatchEmbed) and module.pos_embed_max_size:
            transformer.set_submodule(name, OpenPatches(module))


def _middle(most: int, count: int) -> Tensor:
    """List the middle ``count`` places of ``most``; of an odd rest, more follow than precede."""
    # (most - count) // 2 without a negative number, which the graph would round the other way.
    return torch.arange(count) + (most // 2 - (count + 1 - most % 2) // 2)
