"""Sana (arXiv 2410.10629) as `SanaPipeline` has it: an instruction before the prompt."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import torch
from diffusers import SanaPipeline
from torch import Tensor

from adagen_rt.export.diffusers.adapter import Adapter, Text
from adagen_rt.export.diffusers.schedulers import TRAINED, Grid
from adagen_rt.extent import Extent

#: Tokens of a prompt that the transformer sees: the first, and the last but those of the lead.
TOKENS = 300
OPTIONS = inspect.signature(SanaPipeline.__call__).parameters
LEAD = "\n".join(OPTIONS["complex_human_instruction"].default)


class Sana(Adapter):
    """Gemma 2, whose mask the transformer reads, and a deep autoencoder."""

    pipeline = "SanaPipeline"
    networks: ClassVar[Mapping[str, str]] = {
        "transformer": "SanaTransformer2DModel",
        "vae": "AutoencoderDC",
        "text_encoder": "Gemma2Model",
    }
    schedulers = ("DPMSolverMultistepScheduler", "FlowMatchEulerDiscreteScheduler")
    steps, scale = 20, 4.5
    sizeable = True
    texts = (Text("gemma", "tokenizer", TOKENS, mask=True, lower=True, lead=LEAD, right=True),)
    context = ("context", "context_mask")

    def factor(self, vae: Any) -> int:
        """See `Adapter`."""
        return int(2 ** (len(vae.encoder_block_out_channels) - 1))

    def faults(self, config: Any, latents: Extent) -> list[str]:
        """See `Adapter`; SanaSprint reads a guidance."""
        faults = super().faults(config, latents)
        if config.guidance_embeds:
            faults.append("guidance_embeds: got true, expected false")
        return faults

    def grid(self, config: Any, latents: Extent) -> Grid:
        """See `Adapter`."""
        return replace(super().grid(config, latents), told=False)

    def predict(self, transformer: Any, x: Tensor, t: Tensor, given: dict[str, Tensor]) -> Tensor:
        """See `Adapter`."""
        out: Tensor = transformer(
            x,
            encoder_hidden_states=given["context"],
            encoder_attention_mask=given["context_mask"],
            timestep=(1 - t) * TRAINED * transformer.config.timestep_scale,
            return_dict=False,
        )[0]
        return -out[:, : x.shape[1]]

    def encode(self, networks: Any, given: dict[str, Tensor], config: Any) -> tuple[Tensor, ...]:
        """See `Adapter`; the lead's own tokens are left out."""
        mask = given["gemma_mask"]
        hidden = networks["text_encoder"](given["gemma_ids"], attention_mask=mask)[0]
        places = torch.arange(1, TOKENS, device=mask.device) + given["gemma_led"][:, None]
        places = torch.cat([torch.zeros_like(places[:, :1]), places], dim=1)
        seen = hidden.gather(1, places[..., None].expand(-1, -1, hidden.shape[-1]))
        return seen, mask.gather(1, places).to(hidden.dtype)


ADAPTER = Sana()
