"""DiT and SiT with PyTorch: description, export and training of their networks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch

from adagen_rt.export.examples import ROWS, Examples, normal
from adagen_rt.export.model import DecoderKind, FamilyModel, Functions, differing
from adagen_rt.extent import Extent
from adagen_rt.families.diffusion.network import DiT, DiTConfig
from adagen_rt.families.diffusion.solvers import DEFAULT_SOLVER, SOLVERS
from adagen_rt.families.diffusion.spec import KINDS, DiffusionSpec
from adagen_rt.families.diffusion.text_network import make_dit
from adagen_rt.models.autoencoder import AutoencoderKL, AutoencoderKLConfig

if TYPE_CHECKING:
    from adagen_rt.export.recipe import Recipe
    from adagen_rt.families.diffusion.task import DiffusionTask


class DiffusionModel(FamilyModel):
    """A transformer over the latents of a continuous autoencoder."""

    config, network = DiTConfig, staticmethod(make_dit)
    decoder = DecoderKind(
        "autoencoder_kl", AutoencoderKLConfig, AutoencoderKL, tag="autoencoder_kl"
    )
    solvers = tuple(SOLVERS)
    reads_text = True

    def defaults(self, family: str) -> dict[str, Any]:
        """See `FamilyModel`."""
        return {"process": KINDS[family]}

    def part_faults(self, recipe: Recipe) -> Iterator[str]:
        """See `FamilyModel`."""
        config, decoder = recipe.backbone, recipe.decoder
        yield from super().part_faults(recipe)
        yield from differing("backbone.process", config.process, KINDS[recipe.family])
        yield from differing("backbone.channels", config.channels, decoder.latent_channels)
        yield from differing("decoder.latent_scale", decoder.latent_scale, recipe.latent_scale)
        if recipe.latent_shift is not None:
            yield from differing("decoder.latent_shift", decoder.latent_shift, recipe.latent_shift)

    def schedule_faults(self, recipe: Recipe) -> Iterator[str]:
        """See `FamilyModel`; DiT's times fall from noise at 1, and SiT's rise to images at 1."""
        schedule = recipe.schedule
        static = schedule.actions[schedule.names.index("time")].static
        first, *_, last = static.values(schedule.steps, schedule.steps + 1)
        falls = KINDS[recipe.family] == "vp"
        if first == last or (last < first) != falls:
            direction = "fall" if falls else "rise"
            yield (
                f"schedule.actions.time.static: goes from {first:g} to {last:g}, but the times of "
                f"{recipe.family} {direction}"
            )

    def describe(self, recipe: Recipe) -> DiffusionSpec:
        """See `FamilyModel`."""
        config: DiTConfig = recipe.backbone
        # Published transformers of classes guide the first three channels, those of text all.
        told = {"guided_channels": config.channels} if config.context else {}
        return DiffusionSpec.model_validate(
            {
                **told,
                "family": recipe.family,
                "channels": config.channels,
                "size": config.size,
                "tokens": config.grid.area,
                "width": config.width,
                "solver": recipe.solver or DEFAULT_SOLVER,
            }
        )

    def image_size(self, recipe: Recipe) -> Extent:
        """See `FamilyModel`; a patch is several latents wide."""
        config: DiTConfig = recipe.backbone
        return config.size.times(recipe.decoder.reduction)

    def functions(self, backbone: Any, decoder: Any) -> Functions:
        """See `FamilyModel`."""
        return {"backbone": backbone, "decoder": decoder.decode}

    def examples(self, recipe: Recipe, functions: Functions) -> dict[str, Examples]:
        """See `FamilyModel`."""
        config: DiTConfig = recipe.backbone
        x = normal(ROWS, config.channels, *config.size)
        times = torch.linspace(0.25, 0.75, ROWS)
        return {
            "decoder": Examples({"latents": x}),
            "backbone": Examples({"x": x, "t": times, **self.told_examples(recipe)}),
        }

    def task(self, network: DiT, decoder: AutoencoderKL, *examples: Any) -> DiffusionTask:
        """See `FamilyModel`."""
        from adagen_rt.families.diffusion.task import DiffusionTask

        return DiffusionTask(network, *examples)


MODEL = DiffusionModel()
