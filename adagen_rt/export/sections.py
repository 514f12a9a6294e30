"""The parts of a recipe that are the same for every family."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from adagen_rt.export.fields import FilePath


class Block(BaseModel):
    """Part of a recipe; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PolicySection(Block):
    """The policy network; an engine without one runs its static schedule.

    Attributes:
        hidden: Width of the hidden layers.
        refinement_std: Standard deviation of the noise on its output with which refinement
            makes candidates; the published value is the actions' at the last update.
    """

    hidden: int = Field(512, ge=8, le=8192)
    refinement_std: float = Field(0.1, gt=0, le=100)


class RewardSection(Block):
    """The discriminator that scores the images of best-of.

    Attributes:
        width: Channels inside each head.
    """

    width: int = Field(64, ge=1, le=8192)


class Files(Block):
    """The weight files, as paths inside the weights folder.

    Attributes:
        backbone: The generator.
        decoder: The autoencoder.
        policy: The policy; without a file it starts fresh.
        critic: The critic that scores refinement's candidates; None for an engine without one.
        fidelity_policy: A second policy, trained for fidelity; None for an engine without one.
        reward: The discriminator that scores the images of best-of; None for an engine without
            one.
        features: A vision transformer's weights, whose features the discriminator judges; None
            takes the built-in classifier, which knows Fashion-MNIST alone.
    """

    backbone: FilePath = "backbone.safetensors"
    decoder: FilePath = "decoder.safetensors"
    policy: FilePath | None = None
    critic: FilePath | None = None
    fidelity_policy: FilePath | None = None
    reward: FilePath | None = None
    features: FilePath | None = None

    def named(self) -> tuple[str, ...]:
        """Return the names of all files."""
        return tuple(self.model_dump(exclude_none=True).values())


class TrainingSection(Block):
    """Settings of a demo model's training.

    Attributes:
        tokenizer: Settings of the autoencoder's training loop.
        generator: Settings of the backbone's training loop.
        policy: Settings of the policy's training; by default, the published ones.
        discriminator: Settings of the discriminator that the policy is trained against.
    """

    tokenizer: dict[str, bool | int | float]
    generator: dict[str, bool | int | float]
    policy: dict[str, bool | int | float] = {}
    discriminator: dict[str, bool | int | float] = {}
