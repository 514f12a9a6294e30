"""A generation as three models: start, step and decode, for hosts that batch continuously.

Rows of a batch may be at different steps, so that a host starts samples while others are under way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import onnx_ir as ir

from adagen_rt.condition import Condition
from adagen_rt.engine.folder import EngineFolder
from adagen_rt.onegraph.bundle import BundleOptions, blackened, own_steps
from adagen_rt.onegraph.generation import advance, changing, column_of
from adagen_rt.onegraph.inline import TracedAssembly, traced_sessions
from adagen_rt.onegraph.inputs import BAD_INPUT, in_range, make_input, make_inputs
from adagen_rt.onegraph.namespace import Namespace
from adagen_rt.onegraph.size import Shape, Size
from adagen_rt.onegraph.traced import Traced
from adagen_rt.ops.reference import ReferenceOps
from adagen_rt.sampling.rule import State

#: Names of the null twin's arrays begin so.
NULL = "null."
#: Names of a state's arrays begin so where they come out: no input and output have one name.
NEXT = "next."


@dataclass(frozen=True)
class Carried:
    """What a host hands from one model to the next.

    Attributes:
        kind: Class of the family's state.
        sizes: Shape and dtype of each array by name.
        null: Null rows that are the same for all samples (batch, ...), by name.
    """

    kind: type[State]
    sizes: Mapping[str, tuple[Shape, Any]]
    null: Mapping[str, Any]


def trace_apart(engine: EngineFolder, options: BundleOptions) -> dict[str, ir.Model]:
    """Write the models by name.

    ``start`` takes the condition's arrays and ``seeds``, and gives a state: arrays (batch, ...),
    called ``next.NAME``. ``step`` takes a state, as ``NAME``, and gives what changes of it.
    ``decode`` takes one and gives ``images``. Start and step also give ``actions`` (batch, actions)
    float32, which are NaN for a sample that is done, and step gives ``done`` (batch,) bool. The
    state's ``failed`` is as for one model.
    """
    start, carried = _start(engine, options)
    return {
        "start": start,
        "step": _step(engine, options, carried),
        "decode": _decode(engine, options, carried),
    }


def _assembly(xp: Namespace, engine: EngineFolder) -> TracedAssembly:
    return TracedAssembly(engine.manifest, traced_sessions(xp, engine), ReferenceOps())


def _start(engine: EngineFolder, options: BundleOptions) -> tuple[ir.Model, Carried]:
    xp = options.namespace()
    condition = engine.manifest.condition
    inputs = make_inputs(xp, condition, options.more_inputs)
    xp.writer.measure_batch(inputs["seeds"].value)
    rows, given, bad = in_range(condition, inputs)
    params, bad = own_steps(engine, options, given, bad)
    loop = _assembly(xp, engine).loop(params, given.get("fidelity"))
    state, decisions = loop.start(xp.arange(Size(1)), rows, given["seeds"])
    carried, null = _halves(state.condition)
    met: Any = state.failed
    failed = xp.where(bad, BAD_INPUT, xp.astype(met, np.int64))
    outputs = carried | {"seeds": given["seeds"]} | changing(state) | {"failed": failed}
    outputs |= {"fidelity": given["fidelity"]} if options.fidelity_input else {}
    outputs |= {"steps": loop.rule.steps} if options.steps_input else {}
    sizes = {name: (array.shape, array.dtype) for name, array in outputs.items()}
    told = {"actions": column_of(loop, decisions[0])[:, 0, :]} if decisions else {}
    model = xp.writer.model("start", inputs, _as_next(outputs) | told)
    return model, Carried(type(state), sizes, null)


def _halves(condition: Condition) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split a condition's arrays: those that samples carry, and null rows that are known."""
    carried: dict[str, Any] = {}
    known: dict[str, Any] = {}
    for name, array in condition.arrays.items():
        halves: tuple[Any, Any] = condition.split(array)
        carried[name], null = halves
        if condition.paired and null.known is not None:
            known[name] = null
        elif condition.paired:
            carried[NULL + name] = null
    return carried, known


def _step(engine: EngineFolder, options: BundleOptions, carried: Carried) -> ir.Model:
    xp, inputs, state = _resume(engine, options, carried)
    params, _ = own_steps(engine, options, inputs, state.failed)
    loop = _assembly(xp, engine).loop(params, inputs.get("fidelity"))
    after, column, failed = advance(loop, state, inputs["failed"], apart=True)
    outputs = _as_next(changing(after) | {"failed": failed})
    outputs |= {"actions": column[:, 0, :], "done": loop.rule.finished(after) | after.failed}
    return xp.writer.model("step", _used(inputs, outputs), outputs)


def _decode(engine: EngineFolder, options: BundleOptions, carried: Carried) -> ir.Model:
    xp, inputs, state = _resume(engine, options, carried)
    params, _ = own_steps(engine, options, inputs, state.failed)
    assembly = _assembly(xp, engine)
    latents = assembly.loop(params).rule.latents(state)
    image = assembly.sessions["decoder"].run(latents)["image"]
    outputs = {"images": blackened(image, inputs["failed"], engine.manifest.image)}
    return xp.writer.model("decode", _used(inputs, outputs), outputs)


def _resume(
    engine: EngineFolder, options: BundleOptions, carried: Carried
) -> tuple[Namespace, dict[str, Traced], State]:
    """Make a state of what a host hands on."""
    xp = options.namespace()
    inputs = {name: make_input(xp, name, *size) for name, size in carried.sizes.items()}
    xp.writer.measure_batch(inputs["step"].value)
    arrays = {}
    for name in [name for name in carried.sizes if name in _conditions(engine, carried)]:
        arrays[name] = inputs[name]
        null = inputs.get(NULL + name)
        if name in carried.null:
            known = carried.null[name]
            null = xp.constant(known.known, known.shape)
        if null is not None:
            arrays[name] = xp.concat([inputs[name], null])
    names = {spec.name for spec in fields(carried.kind)} & inputs.keys()
    own: dict[str, Any] = {name: inputs[name] for name in names}
    state: State = carried.kind(
        index=xp.arange(Size(1)),
        condition=Condition(arrays, {}, engine.manifest.condition.guidance),
        **own,
    )
    return xp, inputs, replace(state, failed=inputs["failed"] != 0)


def _conditions(engine: EngineFolder, carried: Carried) -> set[str]:
    """Name the condition's arrays: they are no fields of a state."""
    others = {spec.name for spec in fields(carried.kind)} | {"fidelity", "steps"}
    return {name for name in carried.sizes if name not in others and not name.startswith(NULL)}


def _as_next(arrays: Mapping[str, Any]) -> dict[str, Any]:
    return {NEXT + name: array for name, array in arrays.items()}


def _used(inputs: dict[str, Traced], outputs: dict[str, Any]) -> dict[str, Traced]:
    """Select the inputs that a model reads."""
    for array in outputs.values():
        assert array.value  # written now, so that it is known what is read
    return {name: array for name, array in inputs.items() if array.value.uses()}
