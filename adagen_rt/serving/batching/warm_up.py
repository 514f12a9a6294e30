"""The first run of an engine that will serve."""

from __future__ import annotations

from adagen_rt.pipeline.base import Pipeline
from adagen_rt.sampling.request import make_request


def warm_up(pipeline: Pipeline, batch: int) -> None:
    """Let every graph allocate the memory that the largest batch needs.

    One step and a preview are enough where all steps have the same size; VAR's steps grow.
    """
    manifest = pipeline.manifest
    samples = manifest.condition.examples(batch)
    for step in pipeline.stream_request(make_request(manifest, samples, [0] * batch)):
        step.preview()
        if manifest.family.mixes_steps:
            break
    pipeline.run(make_request(manifest, samples[:1], [0]))
