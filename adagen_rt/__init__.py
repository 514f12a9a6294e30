"""adagen-rt: run image generators whose schedule is chosen per sample by a policy network.

import adagen_rt

generator = adagen_rt.load("fashion-maskgit")
result = generator.generate(labels=["sneaker", "dress"], seeds=[0, 1])
result.images  # (2, 32, 32, 1) uint8
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from adagen_rt.errors import (
    AdagenError,
    CheckpointError,
    DeviceError,
    EngineError,
    ExportError,
    InputError,
    MissingExtraError,
    PlanError,
    RecipeError,
)

if TYPE_CHECKING:
    from adagen_rt.pipeline.captured import DeviceGenerator
    from adagen_rt.pipeline.load import load
    from adagen_rt.pipeline.stepwise import Generator
    from adagen_rt.sampling.result import Result, Step

__all__ = [
    "AdagenError",
    "CheckpointError",
    "DeviceError",
    "DeviceGenerator",
    "EngineError",
    "ExportError",
    "Generator",
    "InputError",
    "MissingExtraError",
    "PlanError",
    "RecipeError",
    "Result",
    "Step",
    "load",
]

_LAZY = {
    "DeviceGenerator": "pipeline.captured",
    "Generator": "pipeline.stepwise",
    "load": "pipeline.load",
    "Result": "sampling.result",
    "Step": "sampling.result",
}


def __getattr__(name: str) -> Any:
    # The errors and the torch half must import without the compiled kernels.
    if name in _LAZY:
        return getattr(import_module(f"adagen_rt.{_LAZY[name]}"), name)
    if name == "__version__":
        return import_module("importlib.metadata").version("adagen-rt")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
