"""Training of DiT and SiT: the network predicts the noise in latents, or the velocity."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from adagen_rt.families.diffusion.network import DiT
from adagen_rt.models.random import normal, uniform
from adagen_rt.models.task import GeneratorTask
from adagen_rt.ops.solver import PROCESSES, scales


class DiffusionTask(GeneratorTask):
    """Squared error of a prediction at a uniform time.

    Under the variance-preserving process the noise is predicted (DiT, arXiv 2212.09748), on the
    straight path the velocity from noise to data (SiT, arXiv 2401.08740).
    """

    network: DiT

    def loss(self, places: Tensor, generator: torch.Generator) -> Tensor:
        """Mix data and noise, and predict."""
        latents, rows = self.examples(places, generator)
        time = uniform((len(places),), generator)
        noise = normal(latents.shape, generator)
        process = PROCESSES[self.network.config.process]
        signal, spread = scales(time[:, None, None, None], process)
        prediction, _ = self.network(signal * latents + spread * noise, time, **rows)
        target = noise if process.kind == "vp" else latents - noise
        return F.mse_loss(prediction.float(), target)
