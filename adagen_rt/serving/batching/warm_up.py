"""The first run of an engine that will serve."""

from __future__ import annotations

from adagen_rt.pipeline.base import Pipeline


def warm_up(pipeline: Pipeline, batch: int) -> None:
    """Let every graph allocate the memory that the largest batch needs.

    One step and a preview are enough where all steps have the same size; VAR's steps grow.
    """
    samples = pipeline.manifest.condition.examples(batch)
    for step in pipeline.stream(samples, [0] * batch):
        step.preview()
        if pipeline.manifest.family.mixes_steps:
            break
    pipeline.generate(samples[:1], [0])
