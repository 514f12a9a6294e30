"""MaskGIT with PyTorch: description, export and training of its networks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from adagen_rt.export.examples import ROWS, Examples, integers, masked
from adagen_rt.export.model import DecoderKind, FamilyModel, Functions, differing
from adagen_rt.families.maskgit.network import MaskGIT, MaskGITConfig, make_maskgit
from adagen_rt.families.maskgit.spec import MaskGITSpec
from adagen_rt.models.autoencoder import VQGAN, TokenDecoder, VQGANConfig

if TYPE_CHECKING:
    from adagen_rt.export.recipe import Recipe
    from adagen_rt.extent import Extent
    from adagen_rt.families.maskgit.task import MaskGITTask


class MaskGITModel(FamilyModel):
    """A U-ViT over the tokens of a VQGAN."""

    config, network = MaskGITConfig, staticmethod(make_maskgit)
    decoder = DecoderKind("vqgan", VQGANConfig, VQGAN, tag="vqgan")
    integers = frozenset({"tokens"})
    reads_text = True

    def part_faults(self, recipe: Recipe) -> Iterator[str]:
        """See `FamilyModel`."""
        got, expected = recipe.backbone.vocabulary, recipe.decoder.vocabulary
        yield from super().part_faults(recipe)
        yield from differing("backbone.vocabulary", got, expected)

    def describe(self, recipe: Recipe) -> MaskGITSpec:
        """See `FamilyModel`."""
        config = recipe.backbone
        return MaskGITSpec(
            tokens=config.tokens.area,
            vocabulary=config.vocabulary,
            grid=None if config.tokens.square else config.tokens,
            patch=config.patch,
        )

    def image_size(self, recipe: Recipe) -> Extent:
        """See `FamilyModel`; a patch is several tokens wide."""
        size: Extent = recipe.backbone.tokens.times(recipe.decoder.reduction)
        return size

    def functions(self, backbone: Any, decoder: Any) -> Functions:
        """See `FamilyModel`."""
        return {"backbone": backbone, "decoder": TokenDecoder(decoder, backbone.config.tokens)}

    def examples(self, recipe: Recipe, functions: Functions) -> dict[str, Examples]:
        """See `FamilyModel`."""
        config = recipe.backbone
        tokens = integers(config.vocabulary, ROWS, config.tokens.area)
        seen = {"tokens": masked(tokens, config.vocabulary)}
        return {
            "decoder": Examples({"tokens": tokens}),
            "backbone": Examples({**seen, **self.told_examples(recipe)}),
        }

    def task(self, network: MaskGIT, decoder: VQGAN, *examples: Any) -> MaskGITTask:
        """See `FamilyModel`."""
        from adagen_rt.families.maskgit.task import MaskGITTask

        return MaskGITTask(network, *examples)


MODEL = MaskGITModel()
