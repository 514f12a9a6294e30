"""The common part of all device programs: request, state, schedule, policy, decoder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from adagen_rt.backends.base import DeviceSession
from adagen_rt.engine.schedule import Schedule
from adagen_rt.errors import EngineError
from adagen_rt.ops import launches, structs
from adagen_rt.program.buffers import Block, Buffer
from adagen_rt.program.program import Op, Program
from adagen_rt.program.setting import Setting, request_fields


@dataclass
class Builder:
    """Makes ops over buffers that it allocates.

    Args:
        setting: Settings that the program is built for.
        initial: Initial values of the family's own state, by name.
    """

    setting: Setting
    initial: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        setting, batch = self.setting, self.setting.batch
        spec = setting.manifest.schedule
        self.calls = setting.manifest.family.calls(setting.steps)
        self.buffers = setting.buffers
        self.request = self.buffers.block(request_fields(setting))
        self.seeds = self.request["seeds"]
        self._begin, self.condition = self._conditioned()
        actions = len(spec.actions)
        counters = {name: np.zeros(batch, np.int64) for name in ("call", "step", "policy_step")}
        self.state: Block
        self.state, self._pristine = self.buffers.state(
            {
                **counters,
                "failed": np.zeros(batch, np.int64),
                "smoothed": np.zeros((batch, actions), np.float32),
                **self.initial,
            }
        )
        self.values = self.buffers.new((actions, batch), "float32")
        self.trace = self.buffers.new((self.calls, actions, batch), "float32")
        scales = [a.scale if a.activation == "sigmoid" else 0.0 for a in spec.actions]
        self._scales = self.buffers.constant(np.asarray(scales, np.float32))
        followed = spec if setting.policies else spec.static_spec()
        residual = Schedule(followed, setting.steps, self.calls).residual
        self._residual = self.buffers.constant(residual)

    @property
    def failures(self) -> structs.Failures:
        """Addresses at which ops mark samples that failed."""
        return structs.Failures(self.state["failed"].address, self.state["step"].address)

    @property
    def remaining(self) -> int:
        """Address of what samples have left (B,), 0 where none ends early."""
        found = self.state.fields.get("remaining")
        return found.address if found else 0

    @property
    def copies(self) -> int:
        """Rows of a sample in a call of the backbone."""
        return self.setting.manifest.condition.copies

    def split(self, output: Buffer) -> tuple[Buffer, Buffer]:
        """Give the conditional and the null rows of an output; without null rows, both same."""
        batch = self.setting.batch
        own = output.rows(0, batch)
        return own, output.rows(batch, batch) if self.copies == 2 else own

    @property
    def noise(self) -> structs.BatchNoise:
        """The Philox streams of the current step."""
        return structs.BatchNoise(self.seeds.address, self.state["step"].address, None, None)

    def chosen(self, name: str) -> Buffer:
        """Return one action's values (1, B)."""
        return self.values.rows(self.setting.manifest.schedule.names.index(name), 1)

    def action(self, name: str) -> int:
        """Return the address of one action's values (B,)."""
        return self.chosen(name).address

    def kernel(self, launch: Any) -> Op:
        """Make an op that launches a kernel."""
        driver = self.setting.driver
        return Op(launch.kernel, lambda stream: driver.launch(launch, stream))

    def copy(self, target: Buffer, source: Buffer) -> Op:
        """Make an op that copies a buffer."""
        driver, size = self.setting.driver, source.size
        return Op("copy", lambda stream: driver.copy(target.address, source.address, size, stream))

    def zero(self, target: Buffer) -> Op:
        """Make an op that fills a buffer with zeros."""
        driver = self.setting.driver
        return Op("zero", lambda stream: driver.zero(target.address, target.size, stream))

    def reset(self) -> Op:
        """Make an op that restores the state's initial values."""
        return self.copy(self.state.whole, self._pristine)

    def graph(self, name: str, inputs: Mapping[str, Buffer]) -> tuple[Op, dict[str, Buffer]]:
        """Make an op that runs a graph on these inputs; return it and the output buffers."""
        return self.connect(name, self.load(name, inputs), inputs, {})

    def load(self, name: str, inputs: Mapping[str, Buffer]) -> DeviceSession:
        """Load a graph at the shapes of these buffers, of which it may ignore some."""
        return self.setting.graphs.graph(name, {key: b.shape for key, b in inputs.items()})

    def connect(
        self,
        name: str,
        graph: DeviceSession,
        inputs: Mapping[str, Buffer],
        outputs: Mapping[str, Buffer],
    ) -> tuple[Op, dict[str, Buffer]]:
        """Bind a graph's tensors to buffers; outputs that are not given are allocated.

        Raises:
            EngineError: A buffer has another dtype or shape than the graph.
        """
        read = {key: inputs[key] for key in graph.inputs}
        written = {
            key: outputs.get(key) or self.buffers.new(spec.shape, spec.dtype)
            for key, spec in graph.outputs.items()
        }
        for key, spec in {**graph.inputs, **graph.outputs}.items():
            buffer = (read | written)[key]
            if (buffer.shape, buffer.dtype) != (spec.shape, spec.dtype):
                raise EngineError(
                    f"graphs.{name}.{key}: got {spec.dtype} {spec.shape}, "
                    f"expected {buffer.dtype} {buffer.shape}"
                )
        graph.bind({key: buffer.address for key, buffer in (read | written).items()})
        return Op(name, graph.enqueue), written

    def logits(self, logits: Buffer, growth: float = 1.0) -> structs.Logits:
        """Combine logits (R, N, V) with this step's chosen guidance, times ``growth``."""
        batch, (_, tokens, vocabulary) = self.setting.batch, logits.shape
        cond, null = self.split(logits)
        return structs.Logits(
            cond=cond.address,
            null=null.address,
            guidance=self.action("guidance_scale"),
            growth=growth,
            dtype=structs.DTYPES[logits.dtype],
            batch=batch,
            tokens=tokens,
            vocabulary=vocabulary,
        )

    def decide(self, features: Mapping[str, Buffer]) -> list[Op]:
        """Make the ops that run the policies on features and compute this call's actions."""
        asked = {**features, "step": self.state["policy_step"]}
        answers = [self.graph(name, asked) for name in self.setting.policies]
        ops = [op for op, _ in answers]
        raw, second, *_ = *(outputs["raw"].address for _, outputs in answers), 0, 0
        state, spec = self.state, self.setting.manifest.schedule
        ended, ending = self._ending()
        op = structs.Schedule(
            raw=raw,
            second=second,
            share=self.request["fidelity"].address if len(answers) > 1 else 0,
            residual=self._residual.address,
            scales=self._scales.address,
            smoothing=spec.smoothing,
            renewal=1 - spec.smoothing,
            stop=-1 if spec.stop is None else spec.stop,
            ended=ended,
            ending=ending,
            batch=self.setting.batch,
            actions=len(spec.actions),
            calls=self.calls,
            ahead=self.calls - self.setting.steps,
            trained=self.setting.manifest.calls,
            call=state["call"].address,
            step=state["step"].address,
            policy_step=state["policy_step"].address,
            smoothed=state["smoothed"].address,
            values=self.values.address,
            trace=self.trace.address,
            remaining=self.remaining,
            failures=self.failures,
        )
        return [*ops, self.kernel(launches.schedule(op))]

    def _ending(self) -> tuple[int, float]:
        """Give place and value of the action that ends a sample, zeros where nothing does."""
        spec, ending = self.setting.manifest.schedule, self.setting.manifest.family.ending
        if spec.stop is None or ending is None:
            return 0, 0.0
        name, value = ending
        return spec.names.index(name), value

    def decode(self, inputs: Mapping[str, Buffer]) -> tuple[list[Op], Buffer]:
        """Make the ops that decode latents or tokens to bytes (B, H, W, channels)."""
        op, outputs = self.graph("decoder", inputs)
        image, spec = outputs["image"], self.setting.manifest.image
        batch, channels, height, width = image.shape
        low, high = spec.pixel_range
        images = self.buffers.new((batch, height, width, channels), "uint8")
        pixels = structs.Pixels(
            image=image.address,
            dtype=structs.DTYPES[image.dtype],
            low=low,
            factor=255 / (high - low),
            batch=batch,
            channels=channels,
            pixels=height * width,
            failed=self.state["failed"].address,
            bytes=images.address,
        )
        return [op, self.kernel(launches.pixels(pixels))], images

    def program(self, ops: Iterable[Op], images: Buffer) -> Program:
        """Make the whole program."""
        return Program(
            ops=(self.reset(), *self._begin, *ops),
            request=self.request,
            results={"images": images, "failed": self.state["failed"], "trace": self.trace},
            buffers=self.buffers,
            condition=self.setting.manifest.condition,
        )

    def _conditioned(self) -> tuple[list[Op], Mapping[str, Buffer]]:
        """Return the backbone's inputs from the condition, and the op that computes them."""
        manifest = self.setting.manifest
        asked = {name: self.request[name] for name in manifest.condition.tensors}
        if "condition" not in manifest.graphs:
            return [], asked
        op, outputs = self.graph("condition", asked)
        return [op], outputs
