"""Settings of a policy's training, from a recipe and the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adagen_rt.errors import InputError, RecipeError

if TYPE_CHECKING:
    from adagen_rt.export.recipe import Recipe
    from adagen_rt.training.policy.settings import AdversaryConfig, PolicyTraining

SECTIONS = ("policy", "discriminator")


def policy_settings(
    recipe: Recipe | None, settings: tuple[str, ...]
) -> tuple[PolicyTraining, AdversaryConfig]:
    """Join the settings of policy and discriminator: defaults, recipe, then command line."""
    from adagen_rt.export.recipe import build
    from adagen_rt.training.policy.settings import AdversaryConfig, PolicyTraining

    given: dict[str, dict[str, Any]] = {
        name: dict(getattr(recipe.training, name, {})) if recipe else {} for name in SECTIONS
    }
    for text in settings:
        key, found, value = text.partition("=")
        section, _, name = key.rpartition(".")
        if not found or (section or "policy") not in given:
            raise InputError("--set", text, "KEY=VALUE or discriminator.KEY=VALUE")
        given[section or "policy"][name] = _value(value)
    try:
        section = "policy"
        policy_config = build(PolicyTraining, given[section])
        section = "discriminator"
        return policy_config, build(AdversaryConfig, given[section])
    except ValueError as error:
        raise RecipeError(f"training.{section}.{error}") from error


def _value(text: str) -> Any:
    """Read a list of numbers such as `[100, 200]`; leave other texts to the setting's type."""
    import yaml

    try:
        value = yaml.safe_load(text) if text.startswith("[") else text
    except yaml.YAMLError:
        return text
    return value
