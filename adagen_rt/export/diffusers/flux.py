"""FLUX.1 as `FluxPipeline` has it: packed latents, and guidance that the network reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from adagen_rt.condition import Guidance
from adagen_rt.export.diffusers.adapter import Adapter, Text
from adagen_rt.export.diffusers.schedulers import Grid
from adagen_rt.extent import Extent

#: Side of the squares of latents that are one token.
PACK = 2
#: Usual side of the latents, which the transformer's configuration does not have.
SAMPLE = 128


class Flux(Adapter):
    """CLIP's pooled output and T5's tokens."""

    pipeline = "FluxPipeline"
    networks: ClassVar[Mapping[str, str]] = {
        "transformer": "FluxTransformer2DModel",
        "vae": "AutoencoderKL",
        "text_encoder": "CLIPTextModel",
        "text_encoder_2": "T5EncoderModel",
    }
    schedulers = ("FlowMatchEulerDiscreteScheduler",)
    guidance = "embedded"
    steps, scale = 28, 3.5
    shifted = sizeable = True
    texts = (Text("clip", "tokenizer"), Text("t5", "tokenizer_2", 512))
    context = ("context", "pooled")

    def guided_by(self, config: Any) -> Guidance:
        """See `Adapter`; FLUX.1-schnell has no guidance."""
        return "embedded" if config.guidance_embeds else "none"

    def channels(self, config: Any) -> int:
        """See `Adapter`."""
        return int(config.in_channels) // PACK**2

    def sample(self, config: Any) -> int:
        """See `Adapter`."""
        return SAMPLE

    def patch(self, config: Any) -> int:
        """See `Adapter`."""
        return PACK

    def grid(self, config: Any, latents: Extent) -> Grid:
        """See `Adapter`."""
        return Grid(latents.area // PACK**2, own=True)

    def predict(self, transformer: Any, x: Tensor, t: Tensor, given: dict[str, Tensor]) -> Tensor:
        """See `Adapter`; positions are (0, row, column), and of texts all zeros."""
        height, width = x.shape[2] // PACK, x.shape[3] // PACK
        kind: dict[str, Any] = {"dtype": x.dtype, "device": x.device}
        rows = torch.arange(height, **kind)[:, None].expand(height, width)
        columns = torch.arange(width, **kind)[None].expand(height, width)
        places = torch.stack([torch.zeros(height, width, **kind), rows, columns], dim=-1)
        out = transformer(
            hidden_states=_pack(x),
            timestep=1 - t,
            guidance=given.get("guidance"),
            pooled_projections=given["pooled"],
            encoder_hidden_states=given["context"],
            txt_ids=torch.zeros(given["context"].shape[1], 3, **kind),
            img_ids=places.reshape(height * width, 3),
            return_dict=False,
        )[0]
        return -_unpack(out, height, width)

    def encode(self, networks: Any, given: dict[str, Tensor], config: Any) -> tuple[Tensor, ...]:
        """See `Adapter`."""
        pooled = networks["text_encoder"](given["clip_ids"]).pooler_output
        return networks["text_encoder_2"](given["t5_ids"])[0], pooled


def _pack(x: Tensor) -> Tensor:
    """Make tokens (R, N, 4 C) of latents (R, C, H, W)."""
    squares = x.unflatten(3, (-1, PACK)).unflatten(2, (-1, PACK))
    return squares.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)


def _unpack(tokens: Tensor, height: int, width: int) -> Tensor:
    """Make latents of tokens."""
    squares = tokens.unflatten(2, (-1, PACK, PACK)).unflatten(1, (height, width))
    return squares.permute(0, 3, 1, 4, 2, 5).flatten(4).flatten(2, 3)


ADAPTER = Flux()
