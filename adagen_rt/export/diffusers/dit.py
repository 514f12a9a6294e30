"""DiT (arXiv 2212.09748) as `DiTPipeline` has it, 256 or 512 pixels wide."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from adagen_rt.export.diffusers.adapter import Adapter
from adagen_rt.export.diffusers.schedulers import TRAINED
from adagen_rt.extent import Extent

#: The pipeline's null class, whatever the transformer's configuration says.
NULL = 1000


class DiT(Adapter):
    """Classes of ImageNet; all latent channels are guided."""

    pipeline = "DiTPipeline"
    networks: ClassVar[Mapping[str, str]] = {
        "transformer": "DiTTransformer2DModel",
        "vae": "AutoencoderKL",
    }
    schedulers = ("DDIMScheduler", "DPMSolverMultistepScheduler")
    steps, scale = 50, 4.0

    def faults(self, config: Any, latents: Extent) -> list[str]:
        """See `Adapter`; positions are of one size, and the pipeline's null class is a constant."""
        faults = super().faults(config, latents)
        if latents != Extent.of(config.sample_size):
            faults.append(f"size: got {latents} latents, expected {config.sample_size}")
        if config.num_embeds_ada_norm != NULL:
            faults.append(f"num_embeds_ada_norm: got {config.num_embeds_ada_norm}, expected {NULL}")
        return faults

    def predict(self, transformer: Any, x: Tensor, t: Tensor, given: dict[str, Tensor]) -> Tensor:
        """See `Adapter`; the second half of a network's channels is a variance."""
        out = transformer(x, timestep=t * TRAINED - 1, class_labels=given["labels"]).sample
        return out[:, : x.shape[1]]


ADAPTER = DiT()
