"""Recipes: YAML files that define a model's networks and the engine made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import yaml
from pydantic import (
    Field,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_serializer,
    field_validator,
)
from pydantic_core import PydanticCustomError
from torch import nn

from adagen_rt.condition import ClassLabels, ConditionSpec, Prompts
from adagen_rt.engine.family import find_family
from adagen_rt.engine.schedule import ScheduleSpec
from adagen_rt.engine.validation import NAMED, describe_faults
from adagen_rt.errors import RecipeError
from adagen_rt.export.consistency import recipe_faults
from adagen_rt.export.fields import Classes, PixelRange
from adagen_rt.export.sections import Files, PolicySection, RewardSection, TrainingSection
from adagen_rt.export.sources import Source
from adagen_rt.models.text import TextConfig, TextEncoder
from adagen_rt.types import Spec

if TYPE_CHECKING:
    from adagen_rt.export.model import FamilyModel

T = TypeVar("T")


class Recipe(Spec):
    """A parsed recipe.

    Attributes:
        name: The engine's name.
        family: The family's name.
        latent_scale: Factor that the decoder divides latents by; `decoder` need not repeat it.
        latent_shift: Number that the decoder adds to latents after that; likewise.
        backbone: Sizes of the generator.
        decoder: Sizes of the autoencoder whose decoder makes the images.
        policy: Sizes of the policy network, if there is one.
        reward: The discriminator that a policy is trained against.
        files: Names of the weight files.
        sources: Where they are published, by their names under `files`.
        schedule: The action space and its static schedule.
        classes: Class names, or the number of classes; none of a model that takes prompts.
        prompts: Tokens of the text encoders, of a model that takes prompts.
        text: Sizes of the text encoder, a CLIP text tower, of such a model.
        pixel_range: Decoder's outputs for black and for white.
        training: Settings of the demo model's training.
        solver: The solver that the schedule's times are for, where a family has several; None
            takes the family's default.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=100)
    family: str
    latent_scale: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    latent_shift: Annotated[float, Field(allow_inf_nan=False)] | None = None
    backbone: Any
    decoder: Any
    policy: PolicySection | None = None
    reward: RewardSection = RewardSection()
    files: Files = Files()
    sources: dict[str, Source] = Field(default_factory=dict)
    schedule: ScheduleSpec
    classes: Classes | None = None
    prompts: Prompts | None = None
    text: Any = None
    pixel_range: PixelRange
    training: TrainingSection | None = None
    # The last one, so that its validator sees all others.
    solver: str | None = Field(None, validate_default=True)

    @field_validator("family")
    @classmethod
    def _know_family(cls, value: str) -> str:
        find_family(value)
        return value

    @field_validator("backbone", mode="before")
    @classmethod
    def _parse_backbone(cls, value: Any, info: ValidationInfo) -> Any:
        if "family" not in info.data:
            return value  # another check has refused it already
        model = find_family(info.data["family"]).model()
        return build(model.config, {**model.defaults(info.data["family"]), **_mapping(value)})

    @field_validator("decoder", mode="before")
    @classmethod
    def _parse_decoder(cls, value: Any, info: ValidationInfo) -> Any:
        if "family" not in info.data:
            return value
        given, expected = dict(_mapping(value)), find_family(info.data["family"]).model().decoder
        kind = given.pop("kind", expected.name)
        if kind != expected.name:
            raise ValueError(f"kind: got {kind!r}, expected {expected.name!r} for this family")
        latents = {name: info.data.get(name) for name in ("latent_scale", "latent_shift")}
        known = {field.name for field in fields(expected.config)}
        return build(
            expected.config,
            {n: v for n, v in latents.items() if n in known and v is not None} | given,
        )

    @field_validator("text", mode="before")
    @classmethod
    def _parse_text(cls, value: Any) -> Any:
        return None if value is None else build(TextConfig, _mapping(value))

    @field_validator("solver", mode="before")
    @classmethod
    def _fit_together(cls, value: Any, info: ValidationInfo) -> Any:
        valid = cls.model_construct(set(info.data), **{**info.data, "solver": value})
        if faults := list(recipe_faults(valid)):
            raise PydanticCustomError(NAMED, "{text}", {"text": "; ".join(faults)})
        return value

    @field_serializer("backbone", "decoder", "text")
    def _write_sizes(self, value: Any) -> Any:
        return TypeAdapter(type(value)).dump_python(value, mode="json", exclude_none=True)

    @property
    def model(self) -> FamilyModel:
        """The PyTorch half of the family."""
        return find_family(self.family).model()

    @property
    def condition(self) -> ConditionSpec:
        """Kind of condition of the samples."""
        if self.prompts is not None:
            return self.prompts
        assert self.classes is not None  # a checked recipe has one of the two
        if isinstance(self.classes, int):
            return ClassLabels(count=self.classes)
        return ClassLabels(count=len(self.classes), names=self.classes)

    def changed(self, **values: Any) -> Recipe:
        """Copy the recipe with other values of fields, checked as those of a file are.

        Raises:
            RecipeError: They do not fit; the message is one line that names each.
        """
        content = self.model_copy(update=values).model_dump(mode="json", exclude_none=True)
        try:
            return Recipe.model_validate(content)
        except ValidationError as error:
            raise RecipeError(f"{self.name}: {describe_faults(error)}") from error

    def weight_names(self) -> dict[str, str]:
        """Give the names of all files by what is in them; a tokenizer's is its own stem."""
        names: dict[str, str] = self.files.model_dump(exclude_none=True)
        return names | {Path(file).stem: file for file in self.condition.files}

    def make_backbone(self) -> nn.Module:
        """Make the generator with fresh weights."""
        return self.model.network(self.backbone)

    def make_text(self) -> nn.Module | None:
        """Make the text encoder with fresh weights; None for a model of classes."""
        return None if self.text is None else TextEncoder(self.text)

    def make_decoder(self) -> nn.Module:
        """Make the autoencoder with fresh weights."""
        return self.model.decoder.network(self.decoder)


def shipped_recipes() -> dict[str, Path]:
    """List the recipes of published models that came with the package, by name."""
    package = Path(__file__).parents[1]
    folders = (package / "recipes", package.parent / "export")
    return {path.stem: path for folder in folders for path in sorted(folder.glob("*.yaml"))}


def published_models() -> list[str]:
    """List the shipped recipes that say where their weights are published."""
    recipes = shipped_recipes().items()
    return [name for name, path in recipes if "\nsources:" in path.read_text(encoding="utf-8")]


def find_recipe(name_or_path: str | Path) -> Path:
    """Find a recipe by its path, or by a shipped one's name, which its engine may have too."""
    path = Path(name_or_path)
    return path if path.is_file() else shipped_recipes().get(str(name_or_path), path)


def load_recipe(path: str | Path) -> Recipe:
    """Read a recipe, by its path or a shipped one's name.

    Raises:
        RecipeError: The file cannot be read, or a field is unknown, missing or wrong; the
            message is one line that names every such field.
    """
    path = find_recipe(path)
    if path.is_dir():
        expected = "a recipe (a YAML file), or a pipeline of diffusers with its model_index.json"
        raise RecipeError(f"{path}: got a folder, expected {expected}")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise RecipeError(f"{path}: no YAML file: {_one_line(str(error))}") from error
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise RecipeError(f"{path}: {describe_faults(error)}") from error


def build(config: type[T], values: Mapping[str, Any]) -> T:
    """Make a configuration dataclass of a mapping, refusing unknown keys and wrong types.

    Raises:
        ValueError: One line that names every such key.
    """
    known = [field.name for field in fields(config)]  # type: ignore[arg-type]
    expected = f"unknown key, expected one of {', '.join(known)}"
    faults = [f"{key}: {expected}" for key in values if key not in known]
    try:
        built = TypeAdapter(config).validate_python({k: values[k] for k in values if k in known})
    except ValidationError as error:
        faults.append(describe_faults(error))
    if faults:
        raise ValueError("; ".join(faults))
    return built


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"got {value!r:.80}, expected keys and values")
    return value


def _one_line(text: str) -> str:
    return " ".join(text.split())
