"""Export of a pipeline's folder to an engine folder."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path

from adagen_rt.condition import ConditionSpec
from adagen_rt.engine.family import find_family
from adagen_rt.engine.folder import EngineFolder
from adagen_rt.engine.manifest import MAX_NAME, SEEDED, Manifest
from adagen_rt.engine.schedule import ActionSpec, ScheduleSpec
from adagen_rt.engine.sections import Dtype, GraphSpec, ImageSpec, SizesSpec
from adagen_rt.engine.static_schedules import Constant
from adagen_rt.errors import CheckpointError, InputError, RecipeError
from adagen_rt.export.diffusers.condition import describe_condition, write_tokenizers
from adagen_rt.export.diffusers.folder import META, SCHEDULER, PipelineFolder, open_pipeline
from adagen_rt.export.diffusers.graphs import pipeline_graphs
from adagen_rt.export.diffusers.schedulers import Sampler, read_sampler
from adagen_rt.export.writing import export_as, export_graphs
from adagen_rt.extent import MAX_SIDE, Extent
from adagen_rt.types import Tell

#: How many times larger than the engine's own an image's side may be.
LARGER = 2
#: Patches along the sides of the latents at which graphs of many sizes are checked: odd, because
#: halves are rounded, and different.
CHECKED = (3, 5)
#: Range of the images of diffusers' autoencoders.
PIXELS = (-1.0, 1.0)


@dataclass(frozen=True)
class Plan:
    """Everything of an engine but its graphs.

    Attributes:
        source: The pipeline.
        name: The engine's name.
        condition: Kind of condition.
        sampler: What its scheduler is here.
        latents: Size of the latents.
        image: Size of the images.
        sizes: Other sizes that they can be asked for in.
        schedule: The action space.
    """

    source: PipelineFolder
    name: str
    condition: ConditionSpec
    sampler: Sampler
    latents: Extent
    image: Extent
    sizes: SizesSpec | None
    schedule: ScheduleSpec

    def facts(self) -> Iterator[str]:
        """Tell what an export would make, and how large its parts are in float32."""
        source = self.source
        yield f"{self.name}: {source.adapter.pipeline} can be exported"
        yield f"images of {self.image}, latents of {self.latents}; {self.condition.summary}"
        time = self.schedule.actions[0].static.kind
        if self.sizes is not None:
            yield f"other sizes: {self.sizes}"
        yield f"{self.sampler.solver} in {self.schedule.steps} steps, {time} times"
        counts = {}
        for part in source.parts:
            network = source.laid_out(part, META)
            counts[part] = sum(tensor.numel() for tensor in network.parameters())
            yield f"{part}: {counts[part]:,} parameters, {4e-9 * counts[part]:,.1f} GB"
        texts = sum(count for part, count in counts.items() if part.startswith("text_encoder"))
        most = max(texts, counts["transformer"], counts["vae"])
        yield f"memory: at least {4e-9 * most:,.1f} GB, for the weights of one graph at a time"

    @property
    def weights(self) -> str:
        """Tell whether the files of weights are there and whole, by their headers."""
        try:
            self.source.check_weights()
        except CheckpointError as error:
            return f"weights are still missing: {error}"
        return "weights: all there" if self.source.seeded is None else "weights: made of the tag"

    @property
    def other(self) -> Extent | None:
        """Size of the latents at which graphs of many sizes are checked besides their own."""
        if self.sizes is None:
            return None
        most = self.sizes.largest // self.sizes.multiple
        return Extent(*(min(count, most) for count in CHECKED)).times(
            self.source.adapter.patch(self.source.config)
        )

    def manifest(self, dtype: Dtype, graphs: dict[str, GraphSpec]) -> Manifest:
        """Describe the engine, once its graphs are there."""
        (features,) = (t for t in graphs["backbone"].outputs if t.name == "features")
        channels = self.source.adapter.channels(self.source.config)
        family = {
            "family": self.sampler.family,
            "channels": channels,
            "size": self.latents.plain,
            "tokens": self.source.adapter.grid(self.source.config, self.latents).tokens,
            "width": features.shape[2],
            "solver": self.sampler.solver,
            "guided_channels": channels,
            "time_margin": 0.0,
            "log_alpha": self.sampler.log_alpha,
        }
        names = ("adagen-rt", "torch", "onnx", "diffusers", "transformers")
        versions = {name: metadata.version(name) for name in names}
        if self.source.seeded is not None:
            versions |= {SEEDED: self.source.seeded}
        return Manifest.model_construct(
            name=self.name,
            family=find_family(self.sampler.family).Spec.model_validate(family),
            condition=self.condition,
            image=ImageSpec(size=self.image, channels=3, pixel_range=PIXELS),
            sizes=self.sizes,
            schedule=self.schedule,
            refinement_std=None,
            graphs=graphs,
            dtype=dtype,
            versions=versions,
            files={},
        )


def export_pipeline(
    folder: str | Path,
    out: str | Path,
    *,
    size: Extent | None = None,
    guidance: float | None = None,
    seeded: str | None = None,
    dtype: Dtype = "float32",
    progress: Tell = lambda message: None,
) -> EngineFolder:
    """Export a pipeline's folder to an engine folder, whole or not at all.

    Args:
        folder: A folder with a `model_index.json`, as `save_pretrained` of diffusers writes it.
        out: The engine folder; an engine that is there is replaced when all is done.
        size: Size of the images unless they are asked for in another; None for the pipeline's own.
        guidance: Guidance scale of the static schedule, in the pipeline's units; None for the
            pipeline's default.
        seeded: Instead of the weights' files, a tag that determines every weight.
        dtype: As for `export_engine`.
        progress: Called with a line about what happens next.

    Raises:
        AdagenError: The pipeline, a part, an option or an exported graph is wrong.
    """
    plan = plan_pipeline(folder, size, guidance, seeded)
    plan.source.check_weights()
    return export_as(dtype, Path(out), plan.name, partial(_export, plan, progress), progress)


def _export(plan: Plan, progress: Tell, out: Path, dtype: Dtype) -> EngineFolder:
    made = plan.source, plan.condition, plan.latents, plan.sampler.whole, plan.other
    return export_graphs(
        out,
        lambda: pipeline_graphs(*made),
        partial(plan.manifest, dtype),
        dtype=dtype,
        progress=progress,
        beside=partial(write_tokenizers, plan.source),
    )


def plan_pipeline(
    folder: str | Path,
    size: Extent | None = None,
    guidance: float | None = None,
    seeded: str | None = None,
) -> Plan:
    """Check a pipeline's folder as an export does; arguments are those of `export_pipeline`."""
    source = open_pipeline(Path(folder), seeded)
    source.check()
    adapter, config = source.adapter, source.config
    factor = adapter.factor(source.configuration("vae"))
    image = size or Extent.of(adapter.sample(config) * factor)
    if any(side % factor for side in image):
        raise InputError("size", str(image), f"multiples of {factor}")
    latents = image.over(factor)
    if faults := adapter.faults(config, latents):
        raise RecipeError(f"{source.path}: {'; '.join(faults)}")
    grid = adapter.grid(config, latents)
    sampler = read_sampler(source.path / SCHEDULER, source.scheduler, grid)
    condition = describe_condition(source)
    schedule = _schedule(source, condition, sampler, guidance)
    sizes, name = _sizes(source, factor, image), _name(source.path.resolve())
    return Plan(source, name, condition, sampler, latents, image, sizes, schedule)


def _sizes(source: PipelineFolder, factor: int, image: Extent) -> SizesSpec | None:
    """Say which other sizes an engine has: up to twice its own, as far as there are positions."""
    adapter, config = source.adapter, source.config
    if not adapter.sizeable:
        return None
    largest, most = LARGER * max(image), adapter.most(config)
    if most is not None:
        largest = min(largest, most * factor)
    return SizesSpec(multiple=factor * adapter.patch(config), largest=min(largest, MAX_SIDE))


def _name(folder: Path) -> str:
    """Name an engine by the folder, or by the repository of a hub cache's snapshot."""
    name = folder.name
    if folder.parent.name == "snapshots":
        name = folder.parents[1].name.rpartition("--")[2]
    return re.sub(r"[^A-Za-z0-9_.-]", "-", name).lstrip("_.-")[:MAX_NAME] or "pipeline"


def _schedule(
    source: PipelineFolder, condition: ConditionSpec, sampler: Sampler, guidance: float | None
) -> ScheduleSpec:
    """Make the action space whose static schedule is the pipeline's.

    Of classifier-free guidance, the pipelines' scale is ours and 1 more.
    """
    scale = source.adapter.scale if guidance is None else guidance
    if not 0 <= scale <= 1000:
        raise InputError("guidance", scale, "a number from 0 to 1000")
    if condition.guidance == "classifier-free":
        scale = max(scale - 1, 0.0)
    time = ActionSpec(name="time", activation="sigmoid", static=sampler.time)
    guided = ActionSpec(name="guidance_scale", activation="softplus", static=Constant(value=scale))
    return ScheduleSpec(steps=source.adapter.steps, actions=(time, guided))
