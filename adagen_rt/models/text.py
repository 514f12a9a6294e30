"""Text encoders: what a backbone is told of a prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from adagen_rt.errors import needs_extra
from adagen_rt.types import Size


@dataclass(frozen=True)
class TextConfig:
    """Sizes of a CLIP text tower with projection; the defaults are OpenCLIP's ViT-bigG-14.

    Attributes:
        width: Channels of every token.
        depth: Number of layers.
        heads: Attention heads.
        inner: Width inside a layer's MLP.
        projection: Channels of the text as a whole.
        words: Entries of the vocabulary.
        length: Tokens of a text.
        activation: Function inside an MLP; OpenAI's own towers have `quick_gelu`.
    """

    width: Size = 1280
    depth: Size = 32
    heads: Size = 20
    inner: Size = 5120
    projection: Size = 1280
    words: Size = 49408
    length: Size = 77
    activation: Literal["gelu", "quick_gelu"] = "gelu"

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"heads: got {self.heads}, expected a divisor of {self.width}")


class TextEncoder(nn.Module):
    """A CLIP text tower; parameter names are those of `CLIPTextModelWithProjection`'s files.

    No mask is passed, so that padding counts as text does; attention is causal.
    """

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.config = config
        tower = _tower(config)
        self.text_model, self.text_projection = tower.text_model, tower.text_projection
        # No file has it, so it has to be there even where the weights are not yet.
        places = torch.arange(config.length, device="cpu")[None]
        self.text_model.embeddings.register_buffer("position_ids", places, persistent=False)

    def forward(self, ids: Tensor) -> Tensor:
        """Map ids (R, L) to the tokens' last, normalised features (R, L, C)."""
        out: Tensor = self.text_model(input_ids=ids).last_hidden_state
        return out


def _tower(config: TextConfig) -> Any:
    with needs_extra("diffusers"):
        from transformers import CLIPTextConfig, CLIPTextModelWithProjection
    sizes: dict[str, Any] = {
        "hidden_size": config.width,
        "intermediate_size": config.inner,
        "projection_dim": config.projection,
        "num_hidden_layers": config.depth,
        "num_attention_heads": config.heads,
        "vocab_size": config.words,
        "max_position_embeddings": config.length,
        "hidden_act": config.activation,
        # A text is between the last two words of the vocabulary.
        "bos_token_id": max(config.words - 2, 0),
        "eos_token_id": config.words - 1,
        "attn_implementation": "eager",
    }
    return CLIPTextModelWithProjection(CLIPTextConfig(**sizes)).eval()
