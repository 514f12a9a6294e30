"""MaskGIT as a device program."""

from __future__ import annotations

import numpy as np

from adagen_rt.families.maskgit.spec import MaskGITSpec
from adagen_rt.ops import launches, structs
from adagen_rt.program.buffers import Buffer
from adagen_rt.program.builder import Builder
from adagen_rt.program.program import Op, Program
from adagen_rt.program.setting import Setting


def maskgit_program(setting: Setting) -> Program:
    """Build the program, in which every step is to evaluate, decide, sample and mask again."""
    spec = setting.manifest.family
    assert isinstance(spec, MaskGITSpec)
    batch, shape = setting.batch, (setting.batch, spec.tokens)
    rows = setting.manifest.condition.copies * batch
    builder = Builder(
        setting,
        initial={
            "tokens": np.full((rows, spec.tokens), spec.mask_id, np.int64),
            "remaining": np.full(batch, spec.tokens, np.int64),
        },
    )
    tokens = builder.state["tokens"]
    evaluate, outputs = builder.graph("backbone", {"tokens": tokens, **builder.condition})
    decide = builder.decide({"features": builder.split(outputs["features"])[0]})
    sampled = builder.buffers.new(shape, "int64")
    confidence = builder.buffers.new(shape, "float32")
    step = [
        evaluate,
        *decide,
        _sample(builder, spec, outputs["logits"], sampled, confidence),
        _remask(builder, spec, sampled, confidence),
    ]
    end, images = builder.decode({"tokens": sampled})
    return builder.program([*step * setting.steps, *end], images)


def _sample(
    builder: Builder, spec: MaskGITSpec, logits: Buffer, sampled: Buffer, confidence: Buffer
) -> Op:
    op = structs.GuidedSample(
        logits=builder.logits(logits),
        temperature=builder.action("sampling_temperature"),
        confidence_temperature=builder.action("confidence_temperature"),
        tokens=builder.state["tokens"].address,
        mask_id=spec.mask_id,
        noise=builder.noise,
        sampled=sampled.address,
        confidence=confidence.address,
        failures=builder.failures,
    )
    return builder.kernel(launches.guided_sample(op))


def _remask(builder: Builder, spec: MaskGITSpec, sampled: Buffer, confidence: Buffer) -> Op:
    op = structs.Remask(
        sampled=sampled.address,
        confidence=confidence.address,
        mask_ratio=builder.action("mask_ratio"),
        mask_id=spec.mask_id,
        batch=builder.setting.batch,
        tokens=spec.tokens,
        copies=builder.copies,
        masked=builder.state["tokens"].address,
        remaining=builder.state["remaining"].address,
    )
    return builder.kernel(launches.remask(op))
