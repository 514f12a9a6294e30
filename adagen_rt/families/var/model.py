"""VAR with PyTorch: description, export and training of its networks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from torch import nn

from adagen_rt.export.examples import Examples
from adagen_rt.export.model import DecoderKind, FamilyModel, Functions, differing
from adagen_rt.extent import Extent
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

    def part_faults(self, recipe: Recipe) -> Iterator[str]:
        """See `FamilyModel`."""
        config, decoder = recipe.backbone, recipe.decoder
        yield from super().part_faults(recipe)
        yield from differing("backbone.vocabulary", config.vocabulary, decoder.vocabulary)
        yield from differing("backbone.scales", _plain(config.scales), _plain(decoder.scales))
        yield from differing("backbone.code_width", config.code_width, decoder.latent_channels)

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

    def policy_examples(self, network: PolicyNetwork, spec: VARSpec) -> Examples:
        """See `FamilyModel`."""
        return policy_examples(spec)

    def policy_module(self, network: PolicyNetwork, spec: VARSpec) -> nn.Module:
        """See `FamilyModel`."""
        return MultiScalePolicy(network, spec.scales)

    def task(self, network: VAR, decoder: MultiScaleVQVAE, *examples: Any) -> VARTask:
        """See `FamilyModel`."""
        from adagen_rt.families.var.task import VARTask

        return VARTask(network, *examples, quantizer=decoder.quantize)


def _plain(scales: tuple[Extent, ...]) -> list[int | list[int]]:
    return [scale.plain for scale in scales]


MODEL = VARModel()
