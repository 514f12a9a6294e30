"""The parts of a recipe that are the same for every family."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=100)]


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
    """Names of the weight files inside the weights folder.

    Attributes:
        backbone: The generator.
        decoder: The autoencoder.
        policy: The policy; without a file it starts fresh.
        critic: The critic that scores refinement's candidates; None for an engine without one.
        fidelity_policy: A second policy, trained for fidelity; None for an engine without one.
        reward: The discriminator that scores the images of best-of; None for an engine without
            one.
    """

    backbone: FileName = "backbone.safetensors"
    decoder: FileName = "decoder.safetensors"
    policy: FileName | None = None
    critic: FileName | None = None
    fidelity_policy: FileName | None = None
    reward: FileName | None = None

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
