"""Adapters by the names of their pipelines."""

from __future__ import annotations

from adagen_rt.errors import RecipeError, shown
from adagen_rt.export.diffusers import dit, flux, pixart, sana, sd3
from adagen_rt.export.diffusers.adapter import Adapter

#: Every adapter, by the class's name in diffusers.
ADAPTERS: dict[str, Adapter] = {
    module.ADAPTER.pipeline: module.ADAPTER for module in (dit, flux, pixart, sana, sd3)
}


def find_adapter(name: object) -> Adapter:
    """Find the adapter of a pipeline.

    Raises:
        RecipeError: There is none; the message names all.
    """
    if isinstance(name, str) and name in ADAPTERS:
        return ADAPTERS[name]
    known = ", ".join(ADAPTERS)
    raise RecipeError(
        f"_class_name: got {shown(name, 80)}, expected a pipeline with an adapter: {known}"
    )
