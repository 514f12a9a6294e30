"""The first run of an engine that will serve."""

from __future__ import annotations

from adagen_rt.pipeline.base import Pipeline
from adagen_rt.sampling.request import make_request


def warm_up(pipeline: Pipeline, batch: int) -> None:
    """Let every graph allocate the memory that the largest batch needs.

    One step and a preview are enough where all steps have the same size; VAR's steps grow. Where
    the host sees no step, every size of a batch is captured.
    """
    manifest = pipeline.manifest
    samples = manifest.condition.examples(batch)
    if not pipeline.capabilities.streams:
        for size in pipeline.capabilities.batches:
            pipeline.run(make_request(manifest, samples[:size], [0] * len(samples[:size])))
        return
    for step in pipeline.stream_request(make_request(manifest, samples, [0] * batch)):
        step.preview()
        if manifest.family.mixes_steps:
            break
    pipeline.run(make_request(manifest, samples[:1], [0]))
