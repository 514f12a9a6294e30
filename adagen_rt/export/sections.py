"""The parts of a recipe that are the same for every family."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from adagen_rt.export.fields import FilePath
from adagen_rt.extent import Extent, ExtentField
from adagen_rt.models.discriminator import Average
from adagen_rt.models.features import Resize
from adagen_rt.models.policy import Initialisation
from adagen_rt.types import Spec

#: Settings by name, which the trainings check.
Settings = dict[str, bool | int | float | list[int | float]]

#: Largest side of a policy's feature map: its first linear layer has a row for each of its places.
MAX_GRID = 256


class PolicySection(Spec):
    """The policy network; an engine without one runs its static schedule.

    Attributes:
        hidden: Width of the hidden layers.
        initialisation: How a policy starts that is trained: as published, `xavier` draws uniform
            weights and starts biases and modulations at zero; `plain` is PyTorch's own. Its last
            layer starts at zero in both.
        grid: Height and width of the feature map that it sees, 16 in the published policies; maps
            of another size are averaged to it (VAR's: resized bicubically). By default the
            features' own, which makes the first linear layer as wide as they want.
        refinement_std: Standard deviation of the noise on its output with which refinement
            makes candidates; a training sets it to the actions' at its last update.
    """

    hidden: int = Field(512, ge=8, le=8192)
    initialisation: Initialisation = "xavier"
    grid: ExtentField | None = None
    refinement_std: float = Field(0.1, gt=0, le=100)

    @field_validator("grid")
    @classmethod
    def _bound_grid(cls, value: Extent | None) -> Extent | None:
        return None if value is None else Extent.of(value.plain, MAX_GRID)


class RewardSection(Spec):
    """The discriminator that a policy is trained against, and that scores the images of best-of.

    Attributes:
        network: `projected` is the published one, StyleGAN-T's: with `files.features` it sees
            the embedded patches and four blocks, the class token added, through convolutions over
            the sequence with norms over eight samples. `convolutional` sees maps through
            two-dimensional convolutions.
        width: Numbers a token that the class is compared with, or channels inside each head.
        average: What a reward averages: all `logits`, of whose mean it is the sigmoid, or
            their `probabilities`.
        resize: How images come to the transformer's size: by `area` or `bicubic`.
    """

    network: Literal["projected", "convolutional"] = "projected"
    width: int = Field(64, ge=1, le=8192)
    average: Average = "logits"
    resize: Resize = "area"


class Files(Spec):
    """The weight files, as paths inside the weights folder.

    Attributes:
        backbone: The generator.
        decoder: The autoencoder.
        policy: The policy; without a file it starts fresh.
        critic: The critic that scores refinement's candidates; None for an engine without one.
        fidelity_policy: A second policy, trained for fidelity; None for an engine without one.
        reward: The discriminator that scores the images of best-of; None for an engine without
            one.
        text: The text encoder, of a model that takes prompts.
        features: A vision transformer's weights, whose features the discriminator judges; None
            takes the built-in classifier, which knows Fashion-MNIST alone.
    """

    backbone: FilePath = "backbone.safetensors"
    decoder: FilePath = "decoder.safetensors"
    policy: FilePath | None = None
    critic: FilePath | None = None
    fidelity_policy: FilePath | None = None
    reward: FilePath | None = None
    text: FilePath | None = None
    features: FilePath | None = None

    def named(self) -> tuple[str, ...]:
        """Return the names of all files."""
        return tuple(self.model_dump(exclude_none=True).values())


class TrainingSection(Spec):
    """Settings of a model's training.

    Attributes:
        tokenizer: Settings of the demo autoencoder's training loop.
        decoder: Settings of the loop that trains the tokenizer's decoder on, for the codes that
            its encoder makes; by default, there is none.
        generator: Settings of the demo backbone's training loop.
        policy: Settings of the policy's training; by default, the published ones.
        discriminator: Settings of the discriminator that the policy is trained against.
    """

    tokenizer: Settings = Field({})
    decoder: Settings | None = None
    generator: Settings = Field({})
    policy: Settings = Field({})
    discriminator: Settings = Field({})
