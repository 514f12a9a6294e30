"""DiT and SiT as a device program."""

from __future__ import annotations

import numpy as np

from adagen_rt.families.diffusion.spec import DiffusionSpec
from adagen_rt.ops import launches, structs
from adagen_rt.program.buffers import Buffer
from adagen_rt.program.builder import Builder
from adagen_rt.program.program import Op, Program
from adagen_rt.program.setting import Setting


def diffusion_program(setting: Setting) -> Program:
    """Draw latents and choose the first time; then evaluate, decide, move on."""
    spec = setting.manifest.family
    assert isinstance(spec, DiffusionSpec)
    batch, copies = setting.batch, setting.manifest.condition.copies
    latent = (spec.channels, *spec.size)
    stops = setting.manifest.schedule.stopping
    stopping = {"remaining": np.ones(batch, np.int64)} if stops else {}
    builder = Builder(
        setting,
        initial={
            "t": np.zeros(copies * batch, np.float32),
            "start_time": np.zeros(batch, np.float32),
            "times": np.zeros((batch, 3), np.float32),
            "phase": np.zeros(batch, np.int64),
            "anchor": np.zeros((batch, *latent), np.float32),
            "anchor_data": np.zeros((batch, *latent), np.float32),
            **stopping,
        },
    )
    x = builder.buffers.new((copies * batch, *latent), "float32")
    embed, guidance = _embedded(builder)
    inputs = {"x": x, "t": builder.state["t"], **guidance, **builder.condition}
    evaluate, outputs = builder.graph("backbone", inputs)
    features, _ = builder.split(outputs["features"])
    decide = builder.decide({"features": features})
    # Before the first evaluation, the policy's features are zeros.
    begin = [
        _normal(builder, x),
        builder.zero(features),
        *decide,
        _times(builder, spec, first=True),
    ]
    move = _solver_update(builder, spec, x, outputs["prediction"])
    step = [*embed, evaluate, *decide, _times(builder, spec, first=False), move]
    result = x.rows(0, batch)
    end, images = builder.decode({"latents": result})
    return builder.program([*begin, *step * setting.steps, *end], images)


def _process(spec: DiffusionSpec) -> int:
    return structs.PROCESSES[spec.process.kind]


def _embedded(builder: Builder) -> tuple[list[Op], dict[str, Buffer]]:
    """Give the backbone the guidance scale that was chosen last, where it reads one."""
    if builder.setting.manifest.condition.guidance != "embedded":
        return [], {}
    # An input of its own, because graphs want aligned addresses.
    guidance = builder.buffers.new((builder.setting.batch,), "float32")
    return [builder.copy(guidance, builder.chosen("guidance_scale"))], {"guidance": guidance}


def _normal(builder: Builder, x: Buffer) -> Op:
    batch, count = builder.setting.batch, int(np.prod(x.shape[1:]))
    op = structs.Normal(builder.seeds.address, batch, count, builder.copies, x.address)
    return builder.kernel(launches.normal(op))


def _times(builder: Builder, spec: DiffusionSpec, *, first: bool) -> Op:
    state = builder.state
    op = structs.SolverTimes(
        chosen=builder.action("time"),
        step=state["step"].address,
        process=_process(spec),
        first=first,
        multistep=spec.solver_row.multistep,
        margin=spec.time_margin,
        batch=builder.setting.batch,
        copies=builder.copies,
        evaluations=spec.solver_row.evaluations,
        time=state["t"].address,
        start_time=state["start_time"].address,
        times=state["times"].address,
        phase=state["phase"].address,
        remaining=builder.remaining,
    )
    return builder.kernel(launches.solver_times(op))


def _solver_update(builder: Builder, spec: DiffusionSpec, x: Buffer, prediction: Buffer) -> Op:
    """Update ``x``, in every copy of the batch, and the anchors in place."""
    state, batch = builder.state, builder.setting.batch
    cond, null = builder.split(prediction)
    op = structs.SolverUpdate(
        x=x.address,
        anchor=state["anchor"].address,
        anchor_data=state["anchor_data"].address,
        cond=cond.address,
        null=null.address,
        guidance=builder.action("guidance_scale"),
        times=state["times"].address,
        phase=state["phase"].address,
        process=_process(spec),
        solver=spec.solver_row.code,
        dtype=structs.DTYPES[prediction.dtype],
        guided=spec.guided_channels,
        log_alpha=structs.log_alpha(spec.process),
        batch=batch,
        channels=spec.channels,
        pixels=spec.size.area,
        copies=builder.copies,
        next=x.address,
        next_anchor=state["anchor"].address,
        next_data=state["anchor_data"].address,
        failures=builder.failures,
    )
    return builder.kernel(launches.solver_update(op))
