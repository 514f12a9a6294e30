"""Writing of a model: checked against the runtime before it appears."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from adagen_rt.engine.bundle import SUFFIX, BundleFacts, BundleFile, Dialect, Form, append_facts
from adagen_rt.engine.folder import EngineFolder
from adagen_rt.engine.manifest import Manifest
from adagen_rt.errors import ExportError, InputError
from adagen_rt.files import check_target, check_writable, staged_files, staged_folder
from adagen_rt.onegraph.apart import trace_apart
from adagen_rt.onegraph.bundle import BundleOptions, make_options, trace
from adagen_rt.onegraph.facts import bundle_facts, usual_steps
from adagen_rt.onegraph.host import NAMES, StepHost
from adagen_rt.pipeline.bundled import BundledPipeline
from adagen_rt.pipeline.stepwise import StepwisePipeline
from adagen_rt.sampling.params import SamplingParams
from adagen_rt.sampling.request import Request, make_request
from adagen_rt.sampling.result import Images
from adagen_rt.types import Tell

#: Bytes of weights from which on they lie in a file of their own; protobuf's limit is 2 GiB.
LARGE = 1_900_000_000
#: What a folder of three models has, so that it may be replaced by others.
MARKER = f"step{SUFFIX}"
CHECKING = "checking its images against the runtime's"
#: Samples of the check, and the largest difference of a pixel that passes.
SAMPLES, TOLERANCE = 4, 1


def write_bundle(
    engine: EngineFolder,
    out: str | Path,
    params: SamplingParams | None = None,
    *,
    form: Form | None = None,
    fidelity_input: bool = False,
    steps_input: int | None = None,
    dialect: Dialect = "onnxruntime",
    threads: int = 1,
    progress: Tell = lambda text: None,
) -> BundleFacts:
    """Write a whole generation of an engine as one ONNX model.

    Args:
        engine: The engine.
        out: The file, whose name ends in ``.onnx``; weights of 2 GB lie in ``NAME.onnx.data``.
            For the form ``step``, a folder.
        params: Sampling parameters: steps, schedule, best-of and size are those of the model.
        form: ``loop`` repeats one step, ``unrolled`` has them all, ``step`` has one that the host
            repeats, between a model that starts and one that decodes; None takes the loop where
            the family's steps are alike.
        fidelity_input: Whether each sample's share of the fidelity policy is an input.
        steps_input: Largest number of steps, where each sample's is an input.
        dialect: ``tensorrt`` writes it in operators that TensorRT has, which are far slower
            elsewhere.
        threads: CPU threads of the check.
        progress: Is told what is being done.

    Raises:
        InputError: An argument is out of its range, or cannot be done in one model.
        ExportError: The model's images are not the runtime's.
    """
    out = Path(out)
    engine, options = check_bundle(
        engine,
        out,
        params,
        form=form,
        fidelity_input=fidelity_input,
        steps_input=steps_input,
        dialect=dialect,
    )
    write = _write_apart if form == "step" else _write_one
    return write(engine, out, options, threads, progress)


def check_bundle(
    engine: EngineFolder,
    out: Path,
    params: SamplingParams | None = None,
    *,
    form: Form | None = None,
    fidelity_input: bool = False,
    steps_input: int | None = None,
    dialect: Dialect = "onnxruntime",
    **_: Any,
) -> tuple[EngineFolder, BundleOptions]:
    """Check what `write_bundle` is asked for, without writing anything.

    Returns:
        The engine, at the size of the images, and what its model does.

    Raises:
        InputError: An argument is out of its range, or cannot be done in one model.
    """
    if form == "step":
        check_target(out, MARKER)
    elif out.suffix.lower() != SUFFIX:
        raise InputError("out", str(out), f"a name that ends in {SUFFIX}")
    else:
        check_writable("out", out)
        check_writable("out", out.parent, folder=True)  # weights may lie beside it
    params = params or SamplingParams()
    engine, params = engine.at(params.extent), replace(params, size=None)
    return engine, make_options(engine, params, form, fidelity_input, steps_input, dialect)


def refuse_apart(target: str, form: Form | None) -> None:
    """Refuse three models where a target takes one.

    Raises:
        InputError: The form is ``step``.
    """
    if form == "step":
        raise InputError("form", form, f"loop or unrolled with {target}, which takes one model")


def _write_one(
    engine: EngineFolder, out: Path, options: BundleOptions, threads: int, progress: Tell
) -> BundleFacts:
    progress(f"{engine.manifest.name}: writing its steps")
    model = trace(engine, options)
    with staged_files(out.parent) as staging:
        path = staging / out.name
        facts = bundle_facts(engine, options)
        save(model, path)
        del model
        progress(CHECKING)
        manifest = Manifest.model_validate(facts.manifest).within(engine.path)

        def run(asked: Request) -> Images:
            # Only now, when the runtime has given its memory back.
            with BundledPipeline(BundleFile(path, manifest, "", facts=facts), threads) as bundled:
                return bundled.run(asked).images

        checked = check_images(engine, options, threads, run)
        facts = facts.model_copy(update={"checked": checked})
        append_facts(path, facts, _condition_files(engine))
    return facts


def _write_apart(
    engine: EngineFolder, out: Path, options: BundleOptions, threads: int, progress: Tell
) -> BundleFacts:
    progress(f"{engine.manifest.name}: writing a step")
    models = trace_apart(engine, options)
    with staged_folder(out, MARKER) as staging:
        for name in list(models):
            save(models.pop(name), staging / f"{name}{SUFFIX}")
        progress(CHECKING)
        inputs = engine.manifest.condition.inputs

        def run(asked: Request) -> Images:
            host = StepHost(staging, threads)
            given = {**inputs(asked.rows), "seeds": asked.seeds, "fidelity": asked.fidelity}
            given["steps"] = np.full(len(asked), asked.steps)
            images: Images = host.run(given)["images"]
            return images

        checked = check_images(engine, options, threads, run)
        facts = bundle_facts(engine, options).model_copy(update={"checked": checked})
        for name in NAMES:
            append_facts(staging / f"{name}{SUFFIX}", facts, _condition_files(engine))
    return facts


def _condition_files(engine: EngineFolder) -> dict[str, str]:
    names = engine.manifest.condition.files
    return {name: (engine.path / name).read_text(encoding="utf-8") for name in names}


def save(model: ir.Model, path: Path) -> None:
    """Save a model; many weights lie in a file beside it."""
    tensors = [value.const_value for value in model.graph.initializers.values()]
    weights = sum(tensor.nbytes for tensor in tensors if tensor is not None)
    ir.save(model, path, external_data=f"{path.name}.data" if weights > LARGE else None)


def check_images(
    engine: EngineFolder,
    options: BundleOptions,
    threads: int,
    run: Callable[[Request], Images],
) -> dict[str, Any]:
    """Compare a model's images with the runtime's.

    Raises:
        ExportError: They differ by more than rounding does.
    """
    given = engine.manifest.condition.examples(SAMPLES)
    shares = np.linspace(0, 1, SAMPLES).tolist() if options.fidelity_input else 0.0
    steps = usual_steps(engine.manifest, options)
    params = replace(options.params, fidelity=shares, steps=steps)
    request = make_request(engine.manifest, given, range(SAMPLES), params)
    with StepwisePipeline(engine, threads=threads) as runtime:
        expected = runtime.run(request, batch_size=SAMPLES).images.astype(int)
    got = run(request).astype(int)
    off = np.abs(got - expected)
    error = relative_error(got, expected)
    if engine.manifest.dtype == "int8":
        limit = engine.manifest.family.generation_limit
        wrong, measured = error > limit, f"{error:.2g} of the deviation between images"
        allowed = f"{limit:g}"
    else:
        wrong, measured, allowed = off.max() > TOLERANCE, f"{off.max()} of 255", f"{TOLERANCE}"
    if wrong:
        many = int((off.reshape(SAMPLES, -1).max(axis=1) > TOLERANCE).sum())
        raise ExportError(
            f"{engine.manifest.name}: {many} of {SAMPLES} images differ from the runtime's, by up "
            f"to {measured}, expected at most {allowed}"
        )
    facts = {"samples": SAMPLES, "pixels_off": int((off > 0).sum()), "largest": int(off.max())}
    return {**facts, "error": float(f"{error:.2g}")}


def relative_error(got: np.ndarray, expected: np.ndarray) -> float:
    """Divide the root mean square of the differences by the deviation between images."""
    spread = np.sqrt(expected.var(axis=0).mean()) or 1.0
    return float(np.sqrt(np.square(got - expected).mean()) / spread)
