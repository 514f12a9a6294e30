"""The graphs of a pipeline's engine, each made when its turn has come."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from adagen_rt.condition import ConditionSpec
from adagen_rt.export.diffusers.adapter import Adapter
from adagen_rt.export.diffusers.folder import PipelineFolder
from adagen_rt.export.diffusers.positions import open_patches
from adagen_rt.export.diffusers.schedulers import TRAINED
from adagen_rt.export.examples import ROWS, condition_rows, normal
from adagen_rt.export.onnx_export import GraphPlan
from adagen_rt.extent import Extent

#: Part of a step of the training that rounding may take from a whole one.
NEAR = 1e-3


class Decoder(nn.Module):
    """Latents to images, as pipelines decode them."""

    def __init__(self, adapter: Adapter, vae: Any) -> None:
        super().__init__()
        self.vae = vae
        self.scale = float(vae.config.scaling_factor)
        self.shift = float(vae.config.shift_factor or 0.0) if adapter.shifted else 0.0

    def forward(self, latents: Tensor) -> Tensor:
        """Decode latents (B, C, H, W)."""
        image: Tensor = self.vae.decode(latents / self.scale + self.shift, return_dict=False)[0]
        return image


class Backbone(nn.Module):
    """A transformer under the names of the family's graph.

    Args:
        adapter: Calls it.
        transformer: The network.
        names: Names of its inputs behind ``x`` and ``t``.
        whole: Whether it is asked at whole steps of a flow's training only.
    """

    def __init__(
        self, adapter: Adapter, transformer: nn.Module, names: tuple[str, ...], whole: bool
    ) -> None:
        super().__init__()
        self.adapter, self.transformer, self.names = adapter, transformer, names
        self.whole = whole

    def forward(self, x: Tensor, t: Tensor, *rest: Tensor) -> tuple[Tensor, Tensor]:
        """Predict, and give the hidden states before the last norm as the policy's features."""
        # Each input's rows are a size of their own to the tracer, until it is told.
        for array in (t, *rest):
            torch._check(array.shape[0] == x.shape[0])
        if self.whole:
            t = 1 - torch.floor((1 - t) * TRAINED + NEAR) / TRAINED
        seen: list[Tensor] = []
        norm = self.transformer.get_submodule(self.adapter.norm)
        hook = norm.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
        try:
            given = dict(zip(self.names, rest, strict=True))
            prediction = self.adapter.predict(self.transformer, x, t, given)
        finally:
            hook.remove()
        return prediction, seen[0]


class Encoders(nn.Module):
    """Text encoders under the names of the graph `condition`."""

    def __init__(
        self, adapter: Adapter, networks: dict[str, Any], names: tuple[str, ...], config: Any
    ) -> None:
        super().__init__()
        self.adapter, self.names, self.config = adapter, names, config
        self.parts = nn.ModuleDict({k: v for k, v in networks.items() if v is not None})

    def forward(self, *ids: Tensor) -> tuple[Tensor, ...]:
        """Encode ids and masks (R, L)."""
        given = dict(zip(self.names, ids, strict=True))
        return self.adapter.encode(self.parts, given, self.config)


def run_module(plan: GraphPlan) -> tuple[Tensor, ...]:
    """Compute a graph's example outputs by its module."""
    with torch.no_grad():
        outputs: tuple[Tensor, ...] = plan.module(*plan.inputs.values())
    return outputs


def pipeline_graphs(
    source: PipelineFolder,
    condition: ConditionSpec,
    latents: Extent,
    whole: bool = False,
    other: Extent | None = None,
    run: Callable[[GraphPlan], tuple[Tensor, ...]] = run_module,
) -> Iterator[GraphPlan]:
    """Make the graphs of an engine one after the other, so that one's weights are there at a time.

    Args:
        source: The pipeline.
        condition: Kind of condition.
        latents: Size of the latents.
        whole: Whether the network is asked at whole steps of a flow's training only.
        other: Another size of the latents, where the graphs take many; it is checked too.
        run: Gives the outputs of the graph `condition`, which the backbone reads.
    """
    channels = source.adapter.channels(source.config)
    x = normal(ROWS, channels, *latents)
    again = None if other is None else normal(ROWS, channels, *other)
    # No name here, or the weights would stay.
    yield _sizeable(_decoder(source, x), "latents", again)
    given = condition_rows(condition)
    if source.adapter.context:
        plan = _plan("condition", _encoders(source, tuple(given)), given, source.adapter.context)
        arrays = run(plan)
        yield plan
        del plan
        given = dict(zip(source.adapter.context, arrays, strict=True))
    if condition.guidance == "embedded":
        given = {"guidance": torch.linspace(1.5, 4.0, ROWS), **given}
    transformer = source.load("transformer")
    assert transformer is not None  # no adapter has it among its optional parts
    if other is not None:
        open_patches(transformer)
    backbone = Backbone(source.adapter, transformer, tuple(given), whole)
    inputs = {"x": x, "t": torch.linspace(0.25, 0.75, ROWS), **given}
    plan = _plan("backbone", backbone, inputs, ("prediction", "features"))
    yield _sizeable(plan, "x", again)


def _sizeable(plan: GraphPlan, name: str, again: Tensor | None) -> GraphPlan:
    """Open height and width of an input, if there is one of another size to check the graph at."""
    if again is None:
        return plan
    dynamic = {**plan.dynamic, name: {0: "rows", 2: "height", 3: "width"}}
    return replace(plan, dynamic=dynamic, others=({**plan.inputs, name: again},))


def _decoder(source: PipelineFolder, x: Tensor) -> GraphPlan:
    module = Decoder(source.adapter, source.load("vae"))
    return _plan("decoder", module, {"latents": x}, ("image",))


def _encoders(source: PipelineFolder, names: tuple[str, ...]) -> Encoders:
    parts = [part for part in source.adapter.networks if part.startswith("text_encoder")]
    networks = {part: source.load(part) for part in parts}
    return Encoders(source.adapter, networks, names, source.config)


def _plan(
    name: str, module: nn.Module, inputs: dict[str, Tensor], outputs: tuple[str, ...]
) -> GraphPlan:
    dynamic = {key: {0: "rows"} for key in inputs}
    return GraphPlan(name, module, inputs, outputs, dynamic)
