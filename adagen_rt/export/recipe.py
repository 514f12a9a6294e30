"""Recipes: one YAML file says which networks a model has and how an engine is made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import (
    Field,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from torch import nn

from adagen_rt.engine.schedule import ScheduleSpec
from adagen_rt.engine.validation import describe_faults
from adagen_rt.errors import RecipeError
from adagen_rt.export.sections import Block, Files, PolicySection, RewardSection, TrainingSection
from adagen_rt.families.diffusion.network import DiT, DiTConfig
from adagen_rt.families.maskgit.network import MaskGIT, MaskGITConfig
from adagen_rt.families.var.network import VAR, VARConfig
from adagen_rt.models.autoencoder import VQGAN, AutoencoderKL, AutoencoderKLConfig, VQGANConfig
from adagen_rt.models.multiscale import MultiScaleConfig, MultiScaleVQVAE

T = TypeVar("T")
BackboneConfig = MaskGITConfig | VARConfig | DiTConfig
DecoderConfig = VQGANConfig | AutoencoderKLConfig | MultiScaleConfig

BACKBONES: dict[str, tuple[type[Any], type[nn.Module]]] = {
    "maskgit": (MaskGITConfig, MaskGIT),
    "var": (VARConfig, VAR),
    "dit": (DiTConfig, DiT),
    "sit": (DiTConfig, DiT),
}
DECODERS: dict[str, tuple[type[Any], type[nn.Module]]] = {
    "vqgan": (VQGANConfig, VQGAN),
    "autoencoder_kl": (AutoencoderKLConfig, AutoencoderKL),
    "multiscale_vqvae": (MultiScaleConfig, MultiScaleVQVAE),
}
DECODER_KINDS = {
    "maskgit": "vqgan",
    "var": "multiscale_vqvae",
    "dit": "autoencoder_kl",
    "sit": "autoencoder_kl",
}
PROCESSES: dict[str, str] = {"dit": "vp", "sit": "linear"}


class Recipe(Block):
    """A parsed recipe.

    Attributes:
        name: The engine's name.
        family: The step rule.
        backbone: Sizes of the generator.
        decoder: Sizes of the autoencoder whose decoder makes the images.
        policy: Sizes of the policy network, if there is one.
        reward: Size of the discriminator, if `files` names one.
        files: Names of the weight files.
        schedule: The action space and its static schedule.
        classes: Class names, or how many classes there are.
        pixel_range: What the decoder outputs for black and for white.
        latent_scale: What the decoder divides latents by (DiT and SiT).
        training: How the demo model is trained.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=100)
    family: Literal["maskgit", "var", "dit", "sit"]
    backbone: Any
    decoder: Any
    policy: PolicySection | None = None
    reward: RewardSection = RewardSection()
    files: Files = Files()
    schedule: ScheduleSpec
    classes: tuple[str, ...] | int
    pixel_range: tuple[float, float]
    latent_scale: float | None = Field(None, gt=0)
    training: TrainingSection | None = None

    @field_validator("backbone", mode="before")
    @classmethod
    def _parse_backbone(cls, value: Any, info: ValidationInfo) -> BackboneConfig:
        family = info.data.get("family", "maskgit")
        given = dict(_mapping(value))
        if family in PROCESSES:
            given.setdefault("process", PROCESSES[family])
        config: BackboneConfig = build(BACKBONES[family][0], given)
        return config

    @field_validator("decoder", mode="before")
    @classmethod
    def _parse_decoder(cls, value: Any, info: ValidationInfo) -> DecoderConfig:
        given = dict(_mapping(value))
        expected = DECODER_KINDS[info.data.get("family", "maskgit")]
        kind = given.pop("kind", expected)
        if kind != expected:
            raise ValueError(f"kind: got {kind!r}, expected {expected!r} for this family")
        config: DecoderConfig = build(DECODERS[kind][0], given)
        return config

    @model_validator(mode="after")
    def _fitting_parts(self) -> Recipe:
        _expect("backbone.classes", self.backbone.classes, self.class_count)
        for name in ("critic", "fidelity_policy"):
            if self.policy is None and getattr(self.files, name) is not None:
                raise ValueError(f"files.{name}: got a file, expected none without a policy")
        if isinstance(self.decoder, AutoencoderKLConfig):
            _expect("backbone.channels", self.backbone.channels, self.decoder.latent_channels)
            _expect("decoder.latent_scale", self.decoder.latent_scale, self.latent_scale)
            return self
        _expect("backbone.vocabulary", self.backbone.vocabulary, self.decoder.vocabulary)
        if isinstance(self.decoder, MultiScaleConfig):
            _expect("backbone.scales", self.backbone.scales, self.decoder.scales)
            _expect("backbone.code_width", self.backbone.code_width, self.decoder.latent_channels)
        return self

    @property
    def class_count(self) -> int:
        """How many classes there are; also the null class's label."""
        return self.classes if isinstance(self.classes, int) else len(self.classes)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes' names, or nothing."""
        return () if isinstance(self.classes, int) else self.classes

    def make_backbone(self) -> nn.Module:
        """The generator with fresh weights."""
        return BACKBONES[self.family][1](self.backbone)

    def make_decoder(self) -> nn.Module:
        """The autoencoder with fresh weights."""
        return DECODERS[DECODER_KINDS[self.family]][1](self.decoder)


def load_recipe(path: str | Path) -> Recipe:
    """Reads a recipe.

    Raises:
        RecipeError: The file cannot be read, or a field is unknown, missing or wrong; the
            message is one line that names every such field.
    """
    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RecipeError(f"{path}: not a readable YAML file: {_one_line(str(error))}") from error
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise RecipeError(f"{path}: {describe_faults(error)}") from error


def build(config: type[T], values: Mapping[str, Any]) -> T:
    """Makes a configuration dataclass of a mapping, refusing unknown keys and wrong types.

    Raises:
        ValueError: One line that names the key.
    """
    known = [field.name for field in fields(config)]  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            raise ValueError(f"{key}: unknown key, expected one of {', '.join(known)}")
    try:
        return TypeAdapter(config).validate_python(dict(values))
    except ValidationError as error:
        raise ValueError(describe_faults(error)) from None


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"got {value!r:.80}, expected keys and values")
    return value


def _expect(field: str, got: object, expected: object) -> None:
    if got != expected:
        raise ValueError(f"{field}: got {got!r}, expected {expected!r}")


def _one_line(text: str) -> str:
    return " ".join(text.split())
