"""PixArt-Sigma (arXiv 2403.04692) as `PixArtSigmaPipeline` has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from adagen_rt.export.diffusers.adapter import Adapter, Text
from adagen_rt.export.diffusers.schedulers import TRAINED
from adagen_rt.extent import Extent

#: What the transformer adds to the attention to a token that is not the prompt's.
MASKED = -10_000.0


class PixArtSigma(Adapter):
    """T5, whose mask the transformer reads."""

    pipeline = "PixArtSigmaPipeline"
    networks: ClassVar[Mapping[str, str]] = {
        "transformer": "PixArtTransformer2DModel",
        "vae": "AutoencoderKL",
        "text_encoder": "T5EncoderModel",
    }
    schedulers = ("DPMSolverMultistepScheduler", "DDIMScheduler")
    steps, scale = 20, 4.5
    sizeable = True
    texts = (Text("t5", "tokenizer", 300, mask=True, lower=True),)
    context = ("context", "context_mask")

    def faults(self, config: Any, latents: Extent) -> list[str]:
        """See `Adapter`; PixArt-Alpha also reads the image's size."""
        faults, reads = super().faults(config, latents), config.use_additional_conditions
        if reads or (reads is None and config.sample_size == TOLD):
            faults.append("use_additional_conditions: got true, expected false, of PixArt-Sigma")
        return faults

    def predict(self, transformer: Any, x: Tensor, t: Tensor, given: dict[str, Tensor]) -> Tensor:
        """See `Adapter`; the second half of a network's channels is a variance."""
        # The transformer then squeezes an axis that it does not have, which ONNX refuses.
        hook = transformer.proj_out.register_forward_hook(lambda module, inputs, out: out[:, None])
        try:
            out = transformer(
                x,
                encoder_hidden_states=given["context"],
                encoder_attention_mask=((1 - given["context_mask"]) * MASKED)[:, None],
                timestep=t * TRAINED - 1,
                added_cond_kwargs={"resolution": None, "aspect_ratio": None},
                return_dict=False,
            )[0]
        finally:
            hook.remove()
        return out[:, : x.shape[1]]

    def encode(self, networks: Any, given: dict[str, Tensor], config: Any) -> tuple[Tensor, ...]:
        """See `Adapter`."""
        mask = given["t5_mask"]
        context = networks["text_encoder"](given["t5_ids"], attention_mask=mask)[0]
        return context, mask.to(context.dtype)


#: Side of the latents whose transformers read the image's size unless they say no.
TOLD = 128
ADAPTER = PixArtSigma()
