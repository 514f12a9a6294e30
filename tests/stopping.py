"""A tiny recipe whose policy ends some samples early."""

from tiny_recipes import tiny_recipe

from adagen_rt.engine.schedule import STOP
from adagen_rt.export.recipe import Recipe

STEPS = 8
#: So near to stopping that a seeded policy ends some samples and not others.
NEAR = {"maskgit": 0.46, "dit": 0.48, "sit": 0.42}


def stop_at(value: float) -> dict:
    """The action that ends a sample, with a static schedule of that value."""
    static = {"kind": "constant", "value": value}
    return {"name": STOP, "activation": "sigmoid", "static": static}


def stopping_recipe(family: str, solver: str | None = None) -> Recipe:
    """The tiny recipe with a policy that may stop."""
    content = tiny_recipe(family).model_dump(mode="json", exclude_none=True)
    content["schedule"] |= {"steps": STEPS, "stopping": True}
    content["schedule"]["actions"].append(stop_at(NEAR[family]))
    if solver is not None:
        content["solver"] = solver
    return Recipe.model_validate(content | {"name": f"stopping-{family}"})
