"""VAR with PyTorch: description, export and training of its networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

from adagen_rt.export.examples import Examples
from adagen_rt.export.model import DecoderKind, FamilyModel, Functions, expect
from adagen_rt.families.var.export import policy_examples, var_examples
from adagen_rt.families.var.network import VAR, VARConfig
from adagen_rt.families.var.spec import VARSpec
from adagen_rt.models.multiscale import MultiScaleConfig, MultiScaleVQVAE
from adagen_rt.models.policy import MultiScalePolicy, PolicyNetwork

if TYPE_CHECKING:
    from adagen_rt.export.recipe import Recipe
    from adagen_rt.families.var.task import VARTask


class VARModel(FamilyModel):
    """A transformer over the token maps of a multi-scale VQ-VAE."""

    config, network = VARConfig, VAR
    decoder = DecoderKind("multiscale_vqvae", MultiScaleConfig, MultiScaleVQVAE, tag="var/vae")
    integers = frozenset({"tokens", "positions", "next_positions", "phi"})

    def check(self, recipe: Recipe) -> None:
        """See `FamilyModel`."""
        super().check(recipe)
        config, decoder = recipe.backbone, recipe.decoder
        expect("backbone.vocabulary", config.vocabulary, decoder.vocabulary)
        expect("backbone.scales", config.scales, decoder.scales)
        expect("backbone.code_width", config.code_width, decoder.latent_channels)

    def describe(self, recipe: Recipe) -> VARSpec:
        """See `FamilyModel`."""
        config: VARConfig = recipe.backbone
        return VARSpec(
            scales=config.scales,
            vocabulary=config.vocabulary,
            code_width=config.code_width,
            layers=config.depth,
            width=config.width,
            phi=recipe.decoder.phis,
        )

    def feature_grid(self, recipe: Recipe) -> int:
        """See `FamilyModel`; features of every scale are resized to the last."""
        return int(recipe.backbone.scales[-1])

    def functions(self, backbone: Any, decoder: Any) -> Functions:
        """See `FamilyModel`."""
        return {
            "condition": backbone.condition,
            "backbone": backbone,
            "refine": decoder.quantize.refine,
            "decoder": decoder.decode,
        }

    def examples(self, recipe: Recipe, functions: Functions) -> dict[str, Examples]:
        """See `FamilyModel`."""
        return var_examples(self.describe(recipe), recipe.condition, functions["condition"])

    def policy_examples(self, recipe: Recipe) -> Examples:
        """See `FamilyModel`."""
        return policy_examples(self.describe(recipe))

    def policy_module(self, network: PolicyNetwork, spec: VARSpec) -> nn.Module:
        """See `FamilyModel`."""
        return MultiScalePolicy(network, spec.scales)

    def task(self, network: VAR, decoder: MultiScaleVQVAE, *examples: Any) -> VARTask:
        """See `FamilyModel`."""
        from adagen_rt.families.var.task import VARTask

        return VARTask(network, *examples, quantizer=decoder.quantize)


MODEL = VARModel()
