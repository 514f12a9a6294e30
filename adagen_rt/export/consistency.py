"""Whether the parts of a recipe fit together; every fault that there is, and each by its field."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import ValidationError

from adagen_rt.engine.family import FamilySpec
from adagen_rt.engine.validation import describe_faults

if TYPE_CHECKING:
    from adagen_rt.export.recipe import Recipe


def recipe_faults(recipe: Recipe) -> Iterator[str]:
    """Tell what keeps a recipe's valid sections from making an engine together.

    Args:
        recipe: A recipe whose fields are set but for those that are wrong by themselves.
    """
    there = recipe.model_fields_set
    if there >= {"classes", "prompts"} and (recipe.classes is None) == (recipe.prompts is None):
        state = "missing" if recipe.classes is None else "given beside prompts"
        yield f"classes: {state}; a model takes either classes or prompts"
        return
    if there >= {"policy", "files"}:
        yield from _file_faults(recipe)
    if there >= {"prompts", "text", "files"}:
        yield from _text_faults(recipe)
    if there >= {"files", "sources", "classes", "prompts"}:
        yield from _source_faults(recipe)
    if not there >= {"family", "backbone", "decoder"}:
        return
    if there >= {"classes", "prompts", "latent_scale", "latent_shift"}:
        yield from _part_faults(recipe)
    if "schedule" in there:
        yield from _schedule_faults(recipe)


def _file_faults(recipe: Recipe) -> Iterator[str]:
    for name in ("critic", "fidelity_policy"):
        if recipe.policy is None and getattr(recipe.files, name) is not None:
            yield f"files.{name}: got a file, expected none without a policy"


def _text_faults(recipe: Recipe) -> Iterator[str]:
    if (recipe.text is None) != (recipe.files.text is None):
        yield "files.text: expected a file with a section text, and none without"
    if recipe.text is None:
        return
    lengths = [one.length for one in recipe.prompts.encoders] if recipe.prompts else []
    if lengths != [recipe.text.length]:
        expected = f"one encoder of {recipe.text.length} tokens, as text.length"
        yield f"prompts.encoders: got the lengths {lengths}, expected {expected}"


def _source_faults(recipe: Recipe) -> Iterator[str]:
    known = {*type(recipe.files).model_fields, *recipe.weight_names()}
    for name in recipe.sources:
        if name not in known:
            yield f"sources.{name:.80}: got a source, expected one of {', '.join(sorted(known))}"


def _part_faults(recipe: Recipe) -> Iterator[str]:
    yield from recipe.model.part_faults(recipe)
    solvers = recipe.model.solvers
    if recipe.solver is not None and recipe.solver not in solvers:
        expected = f"one of {', '.join(solvers)}" if solvers else "none here"
        yield f"solver: got {recipe.solver!r:.80}, expected {expected}"


def _schedule_faults(recipe: Recipe) -> Iterator[str]:
    try:
        spec = recipe.model.describe(recipe)
    except ValidationError as error:
        yield describe_faults(error)
        return
    yield from _step_faults(recipe, spec)
    if actions := [*_action_faults(recipe, spec)]:
        yield from actions
    else:
        yield from recipe.model.schedule_faults(recipe)


def _step_faults(recipe: Recipe, spec: FamilySpec) -> Iterator[str]:
    steps = recipe.schedule.steps
    expected = spec.check_policy_steps(steps)
    if expected is not None:
        yield f"schedule.steps: got {steps}, expected {expected}"


def _action_faults(recipe: Recipe, spec: FamilySpec) -> Iterator[str]:
    schedule = recipe.schedule
    yield from spec.schedule_faults(schedule)
    for action in schedule.actions:
        highest = float(action.static.values(schedule.steps, spec.calls(schedule.steps)).max())
        if highest > action.range[1]:
            yield (
                f"schedule.actions.{action.name}.static: rises to {highest:g}, expected at most "
                f"{action.range[1]:g}, the action's scale"
            )
