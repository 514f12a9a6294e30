"""Stable Diffusion 3 (arXiv 2403.03206) as `StableDiffusion3Pipeline` has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from adagen_rt.export.diffusers.adapter import Adapter, Text
from adagen_rt.export.diffusers.schedulers import TRAINED
from adagen_rt.extent import Extent

#: Tokens of T5; without T5 as many zeros.
T5_TOKENS = 256


class StableDiffusion3(Adapter):
    """Two CLIPs and, where the folder has it, T5."""

    pipeline = "StableDiffusion3Pipeline"
    networks: ClassVar[Mapping[str, str]] = {
        "transformer": "SD3Transformer2DModel",
        "vae": "AutoencoderKL",
        "text_encoder": "CLIPTextModelWithProjection",
        "text_encoder_2": "CLIPTextModelWithProjection",
        "text_encoder_3": "T5EncoderModel",
    }
    optional = frozenset({"text_encoder_3"})
    schedulers = ("FlowMatchEulerDiscreteScheduler",)
    steps, scale = 28, 7.0
    shifted = sizeable = True
    texts = (
        Text("clip", "tokenizer"),
        Text("clip_2", "tokenizer_2"),
        Text("t5", "tokenizer_3", T5_TOKENS),
    )
    context = ("context", "pooled")

    def most(self, config: Any) -> int:
        """See `Adapter`; positions are cut out of a table."""
        return int(config.pos_embed_max_size * config.patch_size)

    def faults(self, config: Any, latents: Extent) -> list[str]:
        """See `Adapter`."""
        faults, most = super().faults(config, latents), self.most(config)
        if max(latents) > most:
            patches = config.pos_embed_max_size
            faults.append(f"size: got {latents} latents, expected at most {patches} patches a side")
        return faults

    def predict(self, transformer: Any, x: Tensor, t: Tensor, given: dict[str, Tensor]) -> Tensor:
        """See `Adapter`."""
        out: Tensor = transformer(
            hidden_states=x,
            timestep=(1 - t) * TRAINED,
            encoder_hidden_states=given["context"],
            pooled_projections=given["pooled"],
            return_dict=False,
        )[0]
        return -out

    def encode(self, networks: Any, given: dict[str, Tensor], config: Any) -> tuple[Tensor, ...]:
        """See `Adapter`; CLIPs side by side, padded to T5's width, before T5."""
        first = networks["text_encoder"](given["clip_ids"], output_hidden_states=True)
        second = networks["text_encoder_2"](given["clip_2_ids"], output_hidden_states=True)
        clips = torch.cat([first.hidden_states[-2], second.hidden_states[-2]], dim=-1)
        if "text_encoder_3" in networks:
            t5 = networks["text_encoder_3"](given["t5_ids"])[0]
        else:
            t5 = clips.new_zeros((clips.shape[0], T5_TOKENS, config.joint_attention_dim))
        clips = F.pad(clips, (0, t5.shape[-1] - clips.shape[-1]))
        return torch.cat([clips, t5], dim=-2), torch.cat([first[0], second[0]], dim=-1)


ADAPTER = StableDiffusion3()
