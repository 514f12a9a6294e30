"""The whole model: what goes in, one generation, and what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import onnx_ir as ir

from adagen_rt.engine.bundle import Dialect, Form
from adagen_rt.engine.folder import EngineFolder
from adagen_rt.engine.sections import ImageSpec
from adagen_rt.errors import InputError
from adagen_rt.onegraph.any_steps import whole_steps
from adagen_rt.onegraph.best import best_of
from adagen_rt.onegraph.dialects import DIALECTS
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
        form: ``loop`` repeats one step, ``unrolled`` has every step, ``step`` has one, which the
            host repeats.
        fidelity_input: Whether each sample's share of the fidelity policy is an input.
        steps_input: Whether each sample's number of steps is an input; those of ``params`` are
            the largest.
        dialect: What it is written for.
    """

    params: SamplingParams
    form: Form
    fidelity_input: bool = False
    steps_input: bool = False
    dialect: Dialect = "onnxruntime"

    def namespace(self) -> Namespace:
        """Make a namespace of a new model."""
        return DIALECTS[self.dialect](Writer())

    @property
    def more_inputs(self) -> dict[str, str]:
        """Dtypes of inputs (batch,) besides condition and seeds, by name."""
        asked = {"fidelity": self.fidelity_input, "steps": self.steps_input}
        dtypes = {"fidelity": "float32", "steps": "int64"}
        return {name: dtypes[name] for name, wanted in asked.items() if wanted}


def make_options(
    engine: EngineFolder,
    params: SamplingParams,
    form: Form | None,
    fidelity_input: bool,
    steps_input: int | None,
    dialect: Dialect,
) -> BundleOptions:
    """Check what a model is asked to do.

    Raises:
        InputError: It is out of its range, or no model can do it.
    """
    given = replace(params, fidelity=1.0) if fidelity_input else params
    inputs = {"fidelity": "fidelity_input"} if fidelity_input else {}
    if steps_input is not None:
        if params.steps is not None:
            raise InputError("steps_input", steps_input, "none beside steps, which fixes them")
        if not engine.manifest.family.mixes_steps:
            expected = "none: the steps of this family are its scales"
            raise InputError("steps_input", steps_input, expected)
        given, inputs["steps"] = replace(given, steps=steps_input), "steps_input"
    try:
        checked = given.check(engine.manifest)
    except InputError as error:
        raise error.renamed(inputs.get(error.field, error.field)) from None
    chosen = _choose_form(engine, checked, form)
    if dialect == "tensorrt" and checked.best_of > 1:
        expected = "1 for tensorrt, whose loops carry no bytes from one candidate to the next"
        raise InputError("best_of", checked.best_of, expected)
    return BundleOptions(checked, chosen, fidelity_input, steps_input is not None, dialect)


def _choose_form(engine: EngineFolder, params: SamplingParams, form: Form | None) -> Form:
    """Return the form, by default the smaller one that the family can have."""
    if params.refine > 1:
        expected = "1 in one model: how many candidates go on is known when it runs"
        raise InputError("refine", params.refine, expected)
    if params.reuse:
        expected = "0 in one model: which samples are evaluated is known when it runs"
        raise InputError("reuse", params.reuse, expected)
    mixes = engine.manifest.family.mixes_steps
    if form not in (None, "unrolled") and not mixes:
        raise InputError("form", form, "unrolled: the steps of this family differ in shape")
    if form == "step" and params.best_of > 1:
        raise InputError("best_of", params.best_of, "1 in the form step, whose host may choose")
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
    xp = options.namespace()
    inputs = make_inputs(xp, engine.manifest.condition, options.more_inputs)
    xp.writer.measure_batch(inputs["seeds"].value)
    return xp.writer.model("generation", inputs, _outputs(xp, engine, options, inputs))


def _outputs(
    xp: Namespace, engine: EngineFolder, options: BundleOptions, inputs: dict[str, Traced]
) -> dict[str, Traced]:
    manifest, most = engine.manifest, options.params.steps or 0
    rows, given, bad = in_range(manifest.condition, inputs)
    params, bad = own_steps(engine, options, given, bad)
    assembly = TracedAssembly(manifest, traced_sessions(xp, engine), ReferenceOps())
    sessions, write = assembly.sessions, FORMS[options.form]
    conditioner = once(assembly.loop(params).conditioner, rows)

    def generate(seeds: Traced) -> dict[str, Traced]:
        loop = assembly.loop(params, given.get("fidelity"))
        loop.conditioner = conditioner
        made = write(loop, most, xp.arange(Size(1)), rows, seeds)
        ended = replace(made.state, step=xp.zeros_like(seeds) + loop.rule.steps)
        image = sessions["decoder"].run(loop.rule.latents(ended))["image"]
        failed = xp.where(bad, BAD_INPUT, made.failed)
        pixels = blackened(image, failed, manifest.image)
        return {"images": pixels, "schedule": made.schedule, "failed": failed}

    if params.best_of == 1:
        return generate(given["seeds"])
    size, calls = manifest.image.size, manifest.family.calls(most)
    shape = (Size(1), *size, manifest.image.channels)
    blank = {
        "images": xp.zeros(shape, dtype=np.uint8),
        "schedule": xp.zeros((Size(1), calls, len(manifest.schedule.actions))),
        "failed": xp.zeros(Size(1), dtype=np.int64),
    }
    score = partial(_score, sessions, {name: rows[name] for name in manifest.condition.tensors})
    return best_of(params.best_of, given["seeds"], blank, generate, score)


def blackened(image: Any, failed: Traced, spec: ImageSpec) -> Traced:
    """Make pixels (batch, height, width, channels) uint8, black where a sample failed."""
    low, high = spec.pixel_range
    good = (failed == 0)[:, None, None, None]
    # Hosts that know no arithmetic of bytes want the conversion to be the last node.
    pixels: Any = to_pixels(image.xp.where(good, image, low), low, high)
    return pixels


def own_steps(
    engine: EngineFolder, options: BundleOptions, inputs: Mapping[str, Traced], bad: Any
) -> tuple[SamplingParams, Any]:
    """Take each sample's number of steps where it is an input; others are bad (batch,)."""
    if not options.steps_input:
        return options.params, bad
    most = options.params.steps or 0
    steps, wrong = whole_steps(engine.manifest.family, inputs["steps"], most)
    taken: Any = steps
    return replace(options.params, steps=taken), bad | wrong


def _score(sessions: Mapping[str, Any], rows: Arrays, images: Traced) -> Traced:
    """Ask the reward model about images (B, height, width, channels) uint8."""
    xp = images.xp
    image = xp.permute_dims(xp.astype(images, np.float32) / 255.0, (0, 3, 1, 2))
    rewards: Traced = sessions["reward"].run({"image": image, **rows})["reward"]
    return rewards
