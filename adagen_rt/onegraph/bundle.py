"""The whole model: what goes in, one generation, and what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import onnx_ir as ir

from adagen_rt.engine.bundle import Form
from adagen_rt.engine.folder import EngineFolder
from adagen_rt.errors import InputError
from adagen_rt.onegraph.best import best_of
from adagen_rt.onegraph.generation import Write, repeat, unroll
from adagen_rt.onegraph.inline import TracedAssembly, once, traced_sessions
from adagen_rt.onegraph.inputs import BAD_INPUT, in_range, make_inputs
from adagen_rt.onegraph.namespace import Namespace
from adagen_rt.onegraph.size import Size
from adagen_rt.onegraph.traced import Traced
from adagen_rt.onegraph.writer import Writer
from adagen_rt.ops.reference import ReferenceOps, to_pixels
from adagen_rt.sampling.params import SamplingParams
from adagen_rt.types import Arrays

FORMS: dict[Form, Write] = {"loop": repeat, "unrolled": unroll}


@dataclass(frozen=True)
class BundleOptions:
    """What a model does.

    Attributes:
        params: Sampling parameters, complete and checked.
        form: ``loop`` repeats one step, ``unrolled`` has every step.
        fidelity_input: Whether each sample's share of the fidelity policy is an input.
    """

    params: SamplingParams
    form: Form
    fidelity_input: bool = False


def choose_form(engine: EngineFolder, params: SamplingParams, form: Form | None) -> Form:
    """Return the form, by default the smaller one that the family can have.

    Raises:
        InputError: One model cannot do this.
    """
    if params.refine > 1:
        expected = "1 in one model: how many candidates go on is known when it runs"
        raise InputError("refine", params.refine, expected)
    mixes = engine.manifest.family.mixes_steps
    if form == "loop" and not mixes:
        raise InputError("form", form, "unrolled: the steps of this family differ in shape")
    return form or ("loop" if mixes else "unrolled")


def trace(engine: EngineFolder, options: BundleOptions) -> ir.Model:
    """Write the model of an engine.

    Inputs are those of the condition, such as ``labels`` (batch,) int64, ``seeds`` (batch,) int64
    and, if asked for, ``fidelity`` (batch,) float32. Outputs are ``images`` (batch, height, width,
    channels) uint8, ``schedule`` (batch, calls, actions) float32 with NaN for calls that were not
    needed, ``failed`` (batch,) int64, and with best-of ``rewards`` (batch,) float32 and
    ``kept_seeds`` (batch,) int64.
    ``failed`` is 0 for a good image. Otherwise the image is black, and it is the step at which a
    number was not finite, or -1 where an input was out of its range.

    Raises:
        InputError: A graph of the engine is not of standard operators.
    """
    writer = Writer()
    xp = Namespace(writer)
    more = {"fidelity": "float32"} if options.fidelity_input else {}
    inputs = make_inputs(xp, engine.manifest.condition, more)
    writer.measure_batch(inputs["seeds"].value)
    return writer.model("generation", inputs, _outputs(xp, engine, options, inputs))


def _outputs(
    xp: Namespace, engine: EngineFolder, options: BundleOptions, inputs: dict[str, Traced]
) -> dict[str, Traced]:
    manifest, params = engine.manifest, options.params
    rows, seeds, bad = in_range(manifest.condition, inputs)
    assembly = TracedAssembly(manifest, traced_sessions(xp, engine), ReferenceOps())
    sessions, write = assembly.sessions, FORMS[options.form]
    conditioner = once(assembly.loop(params).conditioner, rows)

    def generate(seeds: Traced) -> dict[str, Traced]:
        # Rules may keep memory, which must not be another body's.
        loop = replace(assembly, _rules={}).loop(params, inputs.get("fidelity"))
        loop.conditioner = conditioner
        made = write(loop, xp.arange(Size(1)), rows, seeds)
        ended = replace(made.state, step=xp.full_like(seeds, loop.rule.steps))
        image = sessions["decoder"].run(loop.rule.latents(ended))["image"]
        failed = xp.where(bad, BAD_INPUT, made.failed)
        pixels = to_pixels(image, *manifest.image.pixel_range)
        pixels = xp.where((failed == 0)[:, None, None, None], pixels, 0)
        return {"images": pixels, "schedule": made.schedule, "failed": failed}

    if params.best_of == 1:
        return generate(seeds)
    size, calls = manifest.image.size, manifest.family.calls(params.steps or 0)
    shape = (Size(1), *size, manifest.image.channels)
    blank = {
        "images": xp.zeros(shape, dtype=np.uint8),
        "schedule": xp.zeros((Size(1), calls, len(manifest.schedule.actions))),
        "failed": xp.zeros(Size(1), dtype=np.int64),
    }
    score = partial(_score, sessions, {name: rows[name] for name in manifest.condition.tensors})
    return best_of(params.best_of, seeds, blank, generate, score)


def _score(sessions: Mapping[str, Any], rows: Arrays, images: Traced) -> Traced:
    """Ask the reward model about images (B, height, width, channels) uint8."""
    xp = images.xp
    image = xp.permute_dims(xp.astype(images, np.float32) / 255.0, (0, 3, 1, 2))
    rewards: Traced = sessions["reward"].run({"image": image, **rows})["reward"]
    return rewards
