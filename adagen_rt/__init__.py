"""adagen-rt: run image generators whose schedule is chosen per sample by a policy network.

import adagen_rt

pipeline = adagen_rt.load("fashion-maskgit")
result = pipeline.generate(["sneaker", "dress"], seeds=[0, 1])
result.images  # (2, 32, 32, 1) uint8
"""

from __future__ import annotations

import warnings
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
    PromptWarning,
    RecipeError,
)

if TYPE_CHECKING:
    from adagen_rt.pipeline.base import Pipeline
    from adagen_rt.pipeline.load import load
    from adagen_rt.sampling.params import SamplingParams
    from adagen_rt.sampling.result import Result, Step

__all__ = [
    "AdagenError",
    "CheckpointError",
    "DeviceError",
    "EngineError",
    "ExportError",
    "InputError",
    "MissingExtraError",
    "Pipeline",
    "PlanError",
    "PromptWarning",
    "RecipeError",
    "Result",
    "SamplingParams",
    "Step",
    "load",
]

#: Module of each name that needs more imports than the errors.
_LAZY = {
    "Pipeline": "pipeline.base",
    "Result": "sampling.result",
    "SamplingParams": "sampling.params",
    "Step": "sampling.result",
    "load": "pipeline.load",
}
#: Names in the previous version, with their modules and names in this one.
_RENAMED = {
    "DeviceGenerator": ("pipeline.captured", "CapturedPipeline"),
    "Generator": ("pipeline.stepwise", "StepwisePipeline"),
}


def __getattr__(name: str) -> Any:
    # The errors and the torch half must import without the compiled kernels.
    if name in _LAZY:
        return getattr(import_module(f"adagen_rt.{_LAZY[name]}"), name)
    if name in _RENAMED:
        module, new = _RENAMED[name]
        text = f"adagen_rt.{name} is deprecated; use adagen_rt.{module}.{new}, or adagen_rt.load"
        warnings.warn(text, DeprecationWarning, stacklevel=2)
        return getattr(import_module(f"adagen_rt.{module}"), new)
    if name == "__version__":
        return import_module("importlib.metadata").version("adagen-rt")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
