"""What a policy is trained for: a recipe's generator, or an engine's."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from adagen_rt.cli.support.bundle import (
    CRITIC_FILE,
    DISCRIMINATOR_FILE,
    POLICY_FILE,
    changed_schedule,
    prepare_export,
    trained_recipe,
    with_judges,
    without_policy_file,
)
from adagen_rt.cli.support.environments import open_environment
from adagen_rt.cli.support.judges import TOKENIZER
from adagen_rt.engine.bundle import open_folder
from adagen_rt.engine.folder import MANIFEST, RECIPE_FILE
from adagen_rt.errors import InputError

if TYPE_CHECKING:
    from adagen_rt.engine.manifest import Manifest
    from adagen_rt.export.networks import Networks
    from adagen_rt.export.recipe import Recipe
    from adagen_rt.export.sections import RewardSection
    from adagen_rt.models.policy import PolicyNetwork
    from adagen_rt.training.policy.environment import Environment
    from adagen_rt.training.policy.run import PolicyTrainer

#: Weights that a training writes.
MADE = (POLICY_FILE, CRITIC_FILE, DISCRIMINATOR_FILE)
#: Folder of the finished engine in that of the run.
ENGINE = "engine"


class TrainedFor(ABC):
    """A frozen generator, and what becomes of the policy that is trained for it.

    Attributes:
        field: The option that names it.
        recipe: Its recipe, where there is one, with the settings of the training.
        manifest: Family, condition, image and the schedule of the training.
        files: What a run of its writes, besides weights and records.
    """

    field: str
    recipe: Recipe | None
    manifest: Manifest
    files: tuple[str, ...]

    @property
    def reward(self) -> RewardSection:
        """Architecture of the discriminator."""
        from adagen_rt.export.sections import RewardSection

        return RewardSection() if self.recipe is None else self.recipe.reward

    @abstractmethod
    def policy(self) -> PolicyNetwork:
        """Make a fresh policy."""

    @abstractmethod
    def environment(self, device: str, asked: Sequence[Any] | None, bf16: bool) -> Environment:
        """Make the generator's environment; arguments as for `Environment`."""

    def prepare(  # noqa: B027 (an engine needs nothing)
        self, folder: Path, trainer: PolicyTrainer, features: Path | None
    ) -> None:
        """Put what an export needs beside the weights into a run's folder."""

    def finish(self, folder: Path, trainer: PolicyTrainer) -> Path:
        """Complete a run, and tell what to look at."""
        return folder / POLICY_FILE


class RecipeGenerator(TrainedFor):
    """The generator of a recipe and its weights.

    Args:
        path: The recipe.
        weights: Folder of its weights.
        changes: The schedule's settings that differ from the recipe's.
    """

    field, files = "--engine-recipe", (RECIPE_FILE,)
    recipe: Recipe

    def __init__(self, path: Path, weights: Path, changes: Mapping[str, Any]) -> None:
        from adagen_rt.export.description import describe_model

        self.recipe = trained_recipe(path, changes)
        self.manifest = describe_model(self.recipe)
        self._weights = weights

    @cached_property
    def _networks(self) -> Networks:
        from adagen_rt.export.networks import load_networks

        return load_networks(without_policy_file(self.recipe), self._weights)

    def policy(self) -> PolicyNetwork:
        """See `TrainedFor`."""
        policy = self._networks.policy
        assert policy is not None  # the recipe has a section for it
        return policy

    def environment(self, device: str, asked: Sequence[Any] | None, bf16: bool) -> Environment:
        """See `TrainedFor`."""
        parts = self.recipe, self._weights, self._networks
        return open_environment(*parts, device, asked, bf16=bf16)

    def prepare(self, folder: Path, trainer: PolicyTrainer, features: Path | None) -> None:
        """See `TrainedFor`: the completed recipe, and links to the generator's weights."""
        adversarial = "discriminator" in trainer.networks()
        if str(features) == TOKENIZER:  # an engine has no encoder to score images with
            features, adversarial = None, False
        recipe = with_judges(self.recipe, trainer.config.last, adversarial, features)
        prepare_export(recipe, self._weights, folder, made=MADE, features=features)


class EngineGenerator(TrainedFor):
    """The generator of an engine, of which neither recipe nor PyTorch weights are needed.

    Args:
        engine: The engine.
        path: A recipe for the policy's sizes and the settings of the training, or none.
        changes: The schedule's settings that differ from the engine's.
    """

    field, files = "--engine", (f"{ENGINE}/{MANIFEST}",)

    def __init__(self, engine: Path, path: Path | None, changes: Mapping[str, Any]) -> None:
        from adagen_rt.export.recipe import load_recipe
        from adagen_rt.training.policy.engine_environment import without_choosers

        self._engine = open_folder(engine)
        self.recipe = None if path is None else load_recipe(path)
        plain = without_choosers(self._engine.manifest)
        self.manifest = plain.with_schedule(changed_schedule(plain.schedule, changes))
        steps = self.manifest.schedule.steps
        if expected := self.manifest.family.check_policy_steps(steps):
            raise InputError("steps", steps, expected)
        for fault in self.manifest.schedule_faults():
            raise InputError("--engine", str(engine), fault)

    def policy(self) -> PolicyNetwork:
        """See `TrainedFor`."""
        from adagen_rt.export.networks import fresh_policy
        from adagen_rt.export.sections import PolicySection

        section = (self.recipe and self.recipe.policy) or PolicySection()
        outputs = self._engine.manifest.graphs["backbone"].outputs
        (features,) = (tensor for tensor in outputs if tensor.name == "features")
        seen = int(features.shape[-1]), self.manifest.family.feature_map
        return fresh_policy(section, len(self.manifest.schedule.actions), *seen)

    def environment(self, device: str, asked: Sequence[Any] | None, bf16: bool) -> Environment:
        """See `TrainedFor`."""
        from adagen_rt.training.policy.engine_environment import engine_environment

        if bf16:
            expected = "false with --engine, whose graphs are as they are"
            raise InputError("training.policy.bf16", bf16, expected)
        return engine_environment(self._engine, self.manifest, device, asked)

    def finish(self, folder: Path, trainer: PolicyTrainer) -> Path:
        """See `TrainedFor`: a copy of the engine that has the policy."""
        from adagen_rt.export.new_policy import export_policy

        networks = {"policy": trainer.policy, "critic": trainer.critic}
        out, std = folder / ENGINE, trainer.config.last
        export_policy(self._engine, self.manifest, out, networks, std, progress=click.echo)
        return out


def open_generator(
    recipe_file: Path | None,
    weights: Path | None,
    engine: Path | None,
    changes: Mapping[str, Any],
) -> TrainedFor:
    """Open what a command's options name.

    Args:
        recipe_file: A recipe.
        weights: Folder of its weights.
        engine: An engine in the place of the weights.
        changes: The schedule's settings that differ from what is there.

    Raises:
        InputError: They name no generator, or two.
    """
    if engine is not None:
        if weights is not None:
            raise InputError("--weights", str(weights), "none beside --engine")
        return EngineGenerator(engine, recipe_file, changes)
    if recipe_file is None or weights is None:
        given = None if recipe_file is None else str(recipe_file)
        raise InputError("--engine-recipe", given, "a recipe and --weights, or else --engine")
    return RecipeGenerator(recipe_file, weights, changes)
