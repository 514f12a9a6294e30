"""MaskGIT as a device program."""

from __future__ import annotations

import numpy as np

from adagen_rt.engine.manifest import MaskGITSpec
from adagen_rt.ops import launches, structs
from adagen_rt.program.buffers import Buffer
from adagen_rt.program.builder import Builder, Setting
from adagen_rt.program.program import Op, Program


def maskgit_program(setting: Setting, spec: MaskGITSpec) -> Program:
    """Every step is the same: evaluate, decide, sample, mask again."""
    batch, shape = setting.batch, (setting.batch, spec.tokens)
    builder = Builder(
        setting,
        initial={
            "tokens": np.full((2 * batch, spec.tokens), spec.mask_id, np.int64),
            "remaining": np.full(batch, spec.tokens, np.int64),
        },
    )
    tokens = builder.state["tokens"]
    evaluate, outputs = builder.graph("backbone", {"tokens": tokens, "labels": builder.labels})
    decide = builder.decide({"features": outputs["features"].rows(0, batch)})
    sampled = builder.buffers.new(shape, "int64")
    confidence = builder.buffers.new(shape, "float32")
    step = [
        evaluate,
        *decide,
        _sample(builder, spec, outputs["logits"], sampled, confidence),
        _remask(builder, spec, sampled, confidence),
    ]
    end, images = builder.decode({"tokens": sampled})
    return builder.program([], [step] * setting.steps, end, images=images, latents=sampled)


def logits_struct(builder: Builder, logits: Buffer, growth: float) -> structs.Logits:
    """Logits (2B, N, V) with the guidance chosen for this step, times ``growth``."""
    batch, (_, tokens, vocabulary) = builder.setting.batch, logits.shape
    return structs.Logits(
        cond=logits.address,
        null=logits.rows(batch, batch).address,
        guidance=builder.action("guidance_scale"),
        growth=growth,
        dtype=structs.DTYPES[logits.dtype],
        batch=batch,
        tokens=tokens,
        vocabulary=vocabulary,
    )


def _sample(
    builder: Builder, spec: MaskGITSpec, logits: Buffer, sampled: Buffer, confidence: Buffer
) -> Op:
    op = structs.GuidedSample(
        logits=logits_struct(builder, logits, 1.0),
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
        copies=2,
        masked=builder.state["tokens"].address,
        remaining=builder.state["remaining"].address,
    )
    return builder.kernel(launches.remask(op))
