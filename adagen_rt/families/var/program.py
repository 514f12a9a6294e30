"""VAR as a device program: each scale has its own graphs, over one cache."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from adagen_rt.families.var.spec import VARSpec
from adagen_rt.ops import launches, structs
from adagen_rt.program.buffers import Buffer
from adagen_rt.program.builder import Builder
from adagen_rt.program.program import Op, Program
from adagen_rt.program.setting import Setting


def var_program(setting: Setting) -> Program:
    """Build the program, which evaluates, decides, samples and refines at every scale."""
    spec = setting.manifest.family
    assert isinstance(spec, VARSpec)
    builder = Builder(setting)
    maps = _Maps(builder, spec)
    steps = [op for scale in range(len(spec.scales)) for op in _scale(builder, maps, scale)]
    latents = maps.f_hat[len(spec.scales) % 2]
    end, images = builder.decode({"latents": latents})
    begin = [builder.zero(maps.f_hat[0]), builder.zero(maps.inputs[0])]
    return builder.program([*begin, *steps, *end], images)


class _Maps:
    """Buffers that pass from scale to scale.

    Graphs cannot write to their inputs, so there are two buffers of ``f_hat``. A scale reads a
    prefix of the cache and writes the rows behind it, without copies. Each input of a graph has
    its own allocation, because TensorRT requires tensors at multiples of 256 bytes, and at
    different addresses.

    Attributes:
        positions: Positions of every scale (n,), with the last scale's repeated as its next.
        phi: Number of the convolution that refines each scale, ().
        sampled: Tokens of each scale (B, n).
    """

    def __init__(self, builder: Builder, spec: VARSpec) -> None:
        self.batch = builder.setting.batch
        self.spec = spec
        self.bounds = spec.bounds
        buffers, code = builder.buffers, spec.code_width
        maps, rows = (self.batch, code, *spec.scales[-1]), builder.copies * self.batch
        self.f_hat = [buffers.new(maps, "float32") for _ in range(2)]
        # One more than the scales: the inputs prepared after the last are not used.
        sizes = [scale.area for scale in (*spec.scales, spec.scales[-1])]
        self.inputs = [buffers.new((rows, size, code), "float32") for size in sizes]
        ranges = [np.arange(*pair) for pair in pairwise(self.bounds)]
        self.positions = [buffers.constant(places) for places in [*ranges, ranges[-1]]]
        self.phi = [buffers.constant(np.asarray(phi, np.int64)) for phi in spec.phi]
        self.sampled = [buffers.new((self.batch, len(places)), "int64") for places in ranges]
        self.cache: Buffer | None = None

    def cached(self, builder: Builder, begin: int, end: int, dtype: str) -> Buffer:
        """Return rows of the cache, which is allocated when its dtype is known."""
        if self.cache is None:
            rows = builder.copies * self.batch
            shape = (self.bounds[-1], self.spec.layers, 2, rows, self.spec.width)
            self.cache = builder.buffers.new(shape, dtype)
        if begin == end:
            return builder.buffers.new((0, *self.cache.shape[1:]), dtype)
        return self.cache.rows(begin, end - begin)


def _scale(builder: Builder, maps: _Maps, scale: int) -> list[Op]:
    evaluate, outputs = _evaluation(builder, maps, scale)
    positions = maps.positions[scale]
    features = builder.split(outputs["features"])[0]
    decide = builder.decide({"features": features, "positions": positions})
    after = maps.inputs[scale + 1]
    cond, null = builder.split(after)
    inputs = {
        "tokens": maps.sampled[scale],
        "positions": positions,
        "next_positions": maps.positions[scale + 1],
        "phi": maps.phi[scale],
        "f_hat": maps.f_hat[scale % 2],
    }
    refined = {"next_f_hat": maps.f_hat[(scale + 1) % 2], "next_inputs": cond}
    refine, _ = builder.connect("refine", builder.load("refine", inputs), inputs, refined)
    sample = _sample(builder, maps, scale, outputs["logits"])
    repeat = [builder.copy(null, cond)] if builder.copies == 2 else []
    return [evaluate, *decide, sample, refine, *repeat]


def _evaluation(builder: Builder, maps: _Maps, scale: int) -> tuple[Op, dict[str, Buffer]]:
    begin, end = maps.bounds[scale : scale + 2]
    spec, rows = maps.spec, builder.copies * maps.batch
    inputs = {
        "inputs": maps.inputs[scale],
        "positions": maps.positions[scale],
        "cache": Buffer(0, (begin, spec.layers, 2, rows, spec.width), "unknown"),
        **builder.condition,
    }
    graph = builder.load("backbone", inputs)
    dtype = graph.outputs["new_cache"].dtype
    inputs["cache"] = maps.cached(builder, 0, begin, dtype)
    written = {"new_cache": maps.cached(builder, begin, end, dtype)}
    return builder.connect("backbone", graph, inputs, written)


def _sample(builder: Builder, maps: _Maps, scale: int, logits: Buffer) -> Op:
    # Guidance grows with the scale: 0 at the first, the chosen value at the last.
    growth = scale / max(len(maps.spec.scales) - 1, 1)
    op = structs.SampleTopKTopP(
        logits=builder.logits(logits, growth),
        top_k=builder.action("top_k"),
        top_p=builder.action("top_p"),
        temperature=builder.action("sampling_temperature"),
        noise=builder.noise,
        sampled=maps.sampled[scale].address,
        failures=builder.failures,
    )
    return builder.kernel(launches.sample_top_k_top_p(op))
