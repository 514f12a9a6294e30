"""DiT and SiT with PyTorch: description, export and training of their networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from adagen_rt.export.examples import ROWS, Examples, condition_rows, normal
from adagen_rt.export.model import DecoderKind, FamilyModel, Functions, expect
from adagen_rt.families.diffusion.network import DiT, DiTConfig
from adagen_rt.families.diffusion.solvers import DEFAULT_SOLVER, SOLVERS
from adagen_rt.families.diffusion.spec import PROCESSES, DiffusionSpec
from adagen_rt.models.autoencoder import AutoencoderKL, AutoencoderKLConfig

if TYPE_CHECKING:
    from adagen_rt.export.recipe import Recipe
    from adagen_rt.families.diffusion.task import DiffusionTask


class DiffusionModel(FamilyModel):
    """A transformer over the latents of a continuous autoencoder."""

    config, network = DiTConfig, DiT
    decoder = DecoderKind(
        "autoencoder_kl", AutoencoderKLConfig, AutoencoderKL, tag="autoencoder_kl"
    )
    solvers = tuple(SOLVERS)

    def defaults(self, family: str) -> dict[str, Any]:
        """See `FamilyModel`."""
        return {"process": PROCESSES[family]}

    def check(self, recipe: Recipe) -> None:
        """See `FamilyModel`."""
        super().check(recipe)
        config, decoder = recipe.backbone, recipe.decoder
        expect("backbone.process", config.process, PROCESSES[recipe.family])
        expect("backbone.channels", config.channels, decoder.latent_channels)
        expect("decoder.latent_scale", decoder.latent_scale, recipe.latent_scale)

    def describe(self, recipe: Recipe) -> DiffusionSpec:
        """See `FamilyModel`."""
        config: DiTConfig = recipe.backbone
        return DiffusionSpec.model_validate(
            {
                "family": recipe.family,
                "channels": config.channels,
                "size": config.size,
                "tokens": config.grid**2,
                "width": config.width,
                "solver": recipe.solver or DEFAULT_SOLVER,
            }
        )

    def feature_grid(self, recipe: Recipe) -> int:
        """See `FamilyModel`; a feature a patch."""
        config: DiTConfig = recipe.backbone
        return config.grid

    def image_size(self, recipe: Recipe) -> int:
        """See `FamilyModel`; a patch is several latents wide."""
        return int(recipe.backbone.size * recipe.decoder.reduction)

    def functions(self, backbone: Any, decoder: Any) -> Functions:
        """See `FamilyModel`."""
        return {"backbone": backbone, "decoder": decoder.decode}

    def examples(self, recipe: Recipe, functions: Functions) -> dict[str, Examples]:
        """See `FamilyModel`."""
        config: DiTConfig = recipe.backbone
        x = normal(ROWS, config.channels, config.size, config.size)
        times = torch.linspace(0.25, 0.75, ROWS)
        return {
            "decoder": Examples({"latents": x}),
            "backbone": Examples({"x": x, "t": times, **condition_rows(recipe.condition)}),
        }

    def task(self, network: DiT, decoder: AutoencoderKL, *examples: Any) -> DiffusionTask:
        """See `FamilyModel`."""
        from adagen_rt.families.diffusion.task import DiffusionTask

        return DiffusionTask(network, *examples)


MODEL = DiffusionModel()
