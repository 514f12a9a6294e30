"""The PyTorch half of a family, for the export, the trainers and the PyTorch backends."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from adagen_rt.condition import ConditionSpec
from adagen_rt.engine.family import FamilySpec
from adagen_rt.errors import InputError
from adagen_rt.export.examples import ROWS, Examples, condition_rows, normal
from adagen_rt.extent import Extent
from adagen_rt.models.policy import over_maps

if TYPE_CHECKING:
    from adagen_rt.export.recipe import Recipe
    from adagen_rt.models.policy import PolicyNetwork
    from adagen_rt.models.task import GeneratorTask, Previewer, Rows

#: Function of each graph by its name; called with the graph's inputs by name.
Functions = Mapping[str, Callable[..., Any]]


@dataclass(frozen=True)
class DecoderKind:
    """An autoencoder whose decoder makes a family's images.

    Attributes:
        name: Its name in recipes.
        config: Its sizes, a dataclass.
        network: The autoencoder.
        tag: Its name in the golden numbers, which determines seeded weights.
    """

    name: str
    config: type[Any]
    network: type[nn.Module]
    tag: str


class FamilyModel(ABC):
    """The half of a family that needs PyTorch.

    The module `model` of a family's folder has an instance, `MODEL`.

    Attributes:
        config: Sizes of the backbone, a dataclass.
        network: The backbone.
        decoder: Makes the images.
        solvers: Names of the solvers that a recipe can choose from.
        integers: Names of its graphs' integer inputs, besides the condition.
        reads_text: Whether its backbone can be told the vectors of a recipe's text encoder.
    """

    config: type[Any]
    network: Callable[[Any], nn.Module]
    decoder: DecoderKind
    solvers: tuple[str, ...] = ()
    integers: frozenset[str] = frozenset()
    reads_text: bool = False

    def defaults(self, family: str) -> dict[str, Any]:
        """List the backbone's sizes that follow from a family's name."""
        return {}

    def part_faults(self, recipe: Recipe) -> Iterator[str]:
        """Tell which networks of a recipe do not fit together; each message names a field."""
        if recipe.prompts is None:
            count = recipe.condition.variety
            yield from differing("backbone.classes", recipe.backbone.classes, count)
        if self.reads_text:
            width = None if recipe.text is None else recipe.text.width
            yield from differing("backbone.context", recipe.backbone.context, width)

    def told(self, recipe: Recipe) -> tuple[str, ...]:
        """List what a recipe's text encoder gives the backbone, where it has one."""
        return ("context",) if self.reads_text and recipe.text else ()

    def told_examples(self, recipe: Recipe) -> dict[str, Tensor]:
        """Make examples of what the backbone is told: a class, or a text's vectors."""
        if not self.told(recipe):
            return condition_rows(recipe.condition)
        return {"context": normal(ROWS, recipe.text.length, recipe.text.width)}

    def schedule_faults(self, recipe: Recipe) -> Iterator[str]:
        """Tell why a schedule whose actions are the family's cannot run."""
        yield from ()

    @abstractmethod
    def describe(self, recipe: Recipe) -> FamilySpec:
        """Make the manifest's section."""

    def feature_grid(self, recipe: Recipe) -> Extent:
        """Give the size of the policies' feature map."""
        return self.describe(recipe).feature_map

    def feature_width(self, recipe: Recipe) -> int:
        """Give the width of the policies' feature map."""
        return int(recipe.backbone.width)

    def image_size(self, recipe: Recipe) -> Extent:
        """Give the size of the images; by default, a feature belongs to one latent position."""
        return self.feature_grid(recipe).times(recipe.decoder.reduction)

    @abstractmethod
    def functions(self, backbone: Any, decoder: Any) -> Functions:
        """List the functions that compute the family's own graphs.

        Args:
            backbone: The generator.
            decoder: The autoencoder.

        Returns:
            Modules, or methods of modules. They take the graph's inputs by name, and by position
            in the contract's order; they give its outputs in the contract's order.
        """

    @abstractmethod
    def examples(self, recipe: Recipe, functions: Functions) -> dict[str, Examples]:
        """Make example inputs of each of the family's own graphs.

        Graphs are exported in this order: small ones first, so that faults show early.
        """

    def policy_examples(self, network: PolicyNetwork, spec: Any) -> Examples:
        """Make example inputs of a policy; arguments as for `policy_module`."""
        shape = spec.feature_map.area, network.config.features
        return Examples({"features": normal(ROWS, *shape), "step": torch.arange(ROWS)})

    def policy_module(self, network: PolicyNetwork, spec: Any) -> nn.Module:
        """Fit a policy network to the family's features; its parameters stay the same.

        Args:
            network: A policy, or a critic.
            spec: The manifest's section.
        """
        return over_maps(network, spec.feature_map)

    def task(
        self,
        network: Any,
        decoder: Any,
        codes: Tensor,
        rows: Rows,
        condition: ConditionSpec,
        previewer: Previewer | None = None,
    ) -> GeneratorTask:
        """Make the training task of the backbone.

        Args:
            network: The backbone.
            decoder: The autoencoder that made the codes.
            codes: Encoded images.
            rows: Their conditions, named tensors (N, ...).
            condition: The kind of condition.
            previewer: Draws images with a network.

        Raises:
            InputError: The family has no training task.
        """
        name = type(self).__name__
        raise InputError("family", name, "one that says how its backbone is trained")


def differing(field: str, got: object, expected: object) -> Iterator[str]:
    """Tell of a recipe's field that has another value than is expected."""
    if got != expected:
        yield f"{field}: got {got!r}, expected {expected!r}"
