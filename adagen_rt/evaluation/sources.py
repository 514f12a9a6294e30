"""Samplers of generators that are to be scored: engines, their graphs on a GPU, or networks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from adagen_rt.engine.folder import RECIPE_FILE, open_engine
from adagen_rt.engine.manifest import Manifest
from adagen_rt.errors import InputError
from adagen_rt.evaluation.images import guided
from adagen_rt.evaluation.networks import graph_sampler, network_sampler
from adagen_rt.export.description import describe_model
from adagen_rt.export.engine import with_fidelity
from adagen_rt.export.networks import load_networks
from adagen_rt.export.recipe import load_recipe
from adagen_rt.pipeline.stepwise import StepwisePipeline
from adagen_rt.sampling.sampler import Sampler


@dataclass(frozen=True)
class SourceOpener:
    """Opens engines on the CPU or, in PyTorch, their graphs on a GPU or a training's networks.

    Attributes:
        runs: Folder of training runs; None takes engines.
        device: PyTorch's name of a device; on the CPU, engines run as users run them.
        threads: CPU threads.
        std: Standard deviation of refinement's candidates; None takes the generator's own.
    """

    runs: Path | None = None
    device: str = "cpu"
    threads: int = 1
    std: float | None = None

    def __str__(self) -> str:
        if self.runs is None and self.device == "cpu":
            return "engines on the CPU"
        return f"{'networks' if self.runs else 'engines'} in PyTorch on {self.device}"

    def describe(self) -> dict[str, Any]:
        """Describe the image source for a report."""
        return {"images made by": str(self), "refinement std": self.std or "the engines' own"}

    def open(self, name: str) -> Sampler:
        """Open one generator.

        Args:
            name: An engine's name or folder; its last part names the run's folder in ``runs``.

        Raises:
            AdagenError: It is missing or damaged.
        """
        if self.runs is not None:
            return self._networks(self.runs / Path(name).name)
        engine = open_engine(name)
        engine = replace(engine, manifest=self._changed(engine.manifest))
        if self.device != "cpu":
            return graph_sampler(engine, engine.manifest, self.device)
        return StepwisePipeline(engine, threads=self.threads).sampler

    def _networks(self, folder: Path) -> Sampler:
        if not folder.is_dir():
            raise InputError("runs", str(folder), "the folder of a policy training")
        recipe = load_recipe(folder / RECIPE_FILE)
        fidelity = folder.with_name(f"{folder.name}-fidelity")
        other = fidelity if fidelity.is_dir() else None
        if other is not None:
            recipe = with_fidelity(recipe, other)
        made = load_networks(recipe, folder, other)
        manifest = self._changed(describe_model(recipe))
        parts = made.backbone, made.decoder, made.optional()
        return network_sampler(manifest, *parts, self.device, made.features)

    def _changed(self, manifest: Manifest) -> Manifest:
        if self.std is None:
            return manifest
        return manifest.model_copy(update={"refinement_std": self.std})


def guided_sampler(sampler: Sampler, factor: float) -> Sampler:
    """Multiply the guidance of a generator's hand-made schedule.

    Raises:
        InputError: The guidance schedule has no number to multiply.
    """
    if factor == 1:
        return sampler
    schedule = guided(sampler.manifest.schedule, factor)
    return Sampler(sampler.assembly.under(schedule), sampler.memory)


def title(manifest: Manifest) -> str:
    """Return a generator's name in tables, with its precision where the name does not tell it."""
    name, dtype = manifest.name, manifest.dtype
    return name if dtype == "float32" or name.endswith(f"-{dtype}") else f"{name} {dtype}"
