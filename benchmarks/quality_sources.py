"""Who makes the images that `quality.py` scores."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from quality_graphs import GraphSource

from adagen_rt.engine.folder import open_engine
from adagen_rt.engine.manifest import Manifest
from adagen_rt.errors import InputError
from adagen_rt.evaluation.network_source import NetworkSource
from adagen_rt.evaluation.sources import EngineSource, Source
from adagen_rt.export.description import describe_model
from adagen_rt.export.networks import load_networks
from adagen_rt.export.pipeline import with_fidelity
from adagen_rt.export.recipe import load_recipe
from adagen_rt.pipeline.stepwise import StepwisePipeline


def title(manifest: Manifest) -> str:
    """What rows call a generator: an engine and its twin have one name."""
    dtype = manifest.dtype
    return manifest.name if dtype == "float32" else f"{manifest.name} {dtype}"


@dataclass(frozen=True)
class Maker:
    """Engines on the CPU or, in PyTorch, their graphs on a GPU or the networks of a training.

    Attributes:
        runs: Folder of what trainings left; None takes engines.
        device: PyTorch's name of a device; engines run on the CPU as users run them.
        batch_size: Images made together.
        threads: CPU threads.
        std: Standard deviation of refinement's candidates; None takes the generator's own.
    """

    runs: Path | None
    device: str
    batch_size: int
    threads: int
    std: float | None

    def __str__(self) -> str:
        if self.runs is None and self.device == "cpu":
            return "engines on the CPU"
        return f"{'networks' if self.runs else 'engines'} in PyTorch on {self.device}"

    def describe(self) -> dict[str, Any]:
        """What a report says of it."""
        return {"images made by": str(self), "refinement std": self.std or "the engines' own"}

    def open(self, name: str) -> Source:
        """One generator.

        Args:
            name: An engine's, or the folder of one; of its last part, RUNS has the training.

        Raises:
            AdagenError: It is missing or damaged.
        """
        if self.runs is not None:
            return self._networks(self.runs / Path(name).name)
        engine = open_engine(name)
        engine = replace(engine, manifest=self._changed(engine.manifest))
        if self.device != "cpu":
            return GraphSource(engine, engine.manifest, self.device, self.batch_size)
        return EngineSource(StepwisePipeline(engine, threads=self.threads), self.batch_size)

    def _networks(self, folder: Path) -> Source:
        if not folder.is_dir():
            raise InputError("runs", str(folder), "the folder of a policy training")
        recipe = load_recipe(folder / "recipe.yaml")
        fidelity = folder.with_name(f"{folder.name}-fidelity")
        other = fidelity if fidelity.is_dir() else None
        if other is not None:
            recipe = with_fidelity(recipe, other)
        made = load_networks(recipe, folder, other)
        manifest = self._changed(describe_model(recipe))
        parts = made.backbone, made.decoder, made.optional()
        return NetworkSource(manifest, *parts, self.device, self.batch_size)

    def _changed(self, manifest: Manifest) -> Manifest:
        if self.std is None:
            return manifest
        return manifest.model_copy(update={"refinement_std": self.std})
