"""A flow engine of a few weights whose images have many sizes, built without PyTorch.

Latents of 3 channels, 8 x 8 unless another size is asked for, in patches of 2 x 2; a latent is
2 x 2 pixels. What is predicted depends on the row and the column, so that a transposition shows.
"""

import itertools
from pathlib import Path

import numpy as np
import onnx
from onnx import helper
from tiny_engine import describe_graph, make_model

from adagen_rt.condition import ClassLabels
from adagen_rt.engine.folder import staged_engine, write_manifest
from adagen_rt.engine.manifest import Manifest
from adagen_rt.engine.schedule import ActionSpec, ScheduleSpec
from adagen_rt.engine.sections import ImageSpec, SizesSpec
from adagen_rt.engine.solver_times import DynamicShift, Shifted
from adagen_rt.engine.static_schedules import Constant
from adagen_rt.families.diffusion.spec import DiffusionSpec

CHANNELS, SIDE, FACTOR, PATCH, STEPS, CLASSES = 3, 8, 2, 2, 3, 4
GUIDANCE, ROW, COLUMN, CLASS, TIME = 1.5, 0.11, -0.07, 0.3, 0.4
DYNAMIC = DynamicShift(base_shift=0.5, max_shift=1.5, base_image_seq_len=8, max_image_seq_len=32)
SIZES = SizesSpec(multiple=FACTOR * PATCH, largest=32)


def build_sizes_engine(folder: Path, **changes) -> Path:
    """Write an engine folder and return its path; some fields of its manifest may be others."""
    models = {"backbone": _backbone(), "decoder": _decoder()}
    tokens = SIDE * SIDE // PATCH**2
    time = Shifted(shift=DYNAMIC.shift(tokens), dynamic=DYNAMIC)
    content = {
        "format": 1,
        "name": "tiny-sizes",
        "family": DiffusionSpec(
            family="flow",
            channels=CHANNELS,
            size=SIDE,
            tokens=tokens,
            width=CHANNELS,
            solver="euler",
            time_margin=0.0,
        ),
        "condition": ClassLabels(count=CLASSES),
        "image": ImageSpec(size=SIDE * FACTOR, channels=3, pixel_range=(-2.0, 2.0)),
        "sizes": SIZES,
        "schedule": ScheduleSpec(
            steps=STEPS,
            actions=(
                ActionSpec(name="time", activation="sigmoid", static=time),
                ActionSpec(
                    name="guidance_scale", activation="softplus", static=Constant(value=GUIDANCE)
                ),
            ),
        ),
        "refinement_std": None,
        "graphs": {key: describe_graph(key, model) for key, model in models.items()},
        "dtype": "float32",
        "versions": {"tiny": "1"},
        "files": {},
    }
    with staged_engine(folder) as staging:
        for key, model in models.items():
            onnx.save(model, staging / f"{key}.onnx")
        write_manifest(staging, Manifest.model_construct(**(content | changes)))
    return folder


def images_of(noise, labels, steps):
    """What the engine makes of noise (B, C, H, W), written out: (B, height, width, 3) uint8."""
    shift = DYNAMIC.shift(noise.shape[2] * noise.shape[3] // PATCH**2)
    sigma = np.linspace(1, 1 / steps, steps)
    sigma = shift * sigma / (1 + (shift - 1) * sigma)
    times = np.concatenate([1 - sigma, [1.0]])
    x = noise.astype(np.float64)
    for now, after in itertools.pairwise(times):
        cond, null = (_velocity(x, now, np.array(of)) for of in (labels, [CLASSES] * len(labels)))
        x = x + (after - now) * (cond + GUIDANCE * (cond - null))
    large = x.repeat(FACTOR, axis=2).repeat(FACTOR, axis=3).transpose(0, 2, 3, 1)
    return ((large.clip(-2, 2) + 2) / 4 * 255).round().astype(np.uint8)


def _velocity(x, time, labels):
    rows, columns = np.arange(1, x.shape[2] + 1), np.arange(1, x.shape[3] + 1)
    places = ROW * rows[:, None] + COLUMN * columns[None]
    return CLASS * labels[:, None, None, None] - x + places + TIME * time


def _backbone():
    weights = {
        "row": np.full((), ROW),
        "column": np.full((), COLUMN),
        "class": np.full((), CLASS),
        "time": np.full((), TIME),
        "zero": np.zeros(()),
    }
    nodes = [
        helper.make_node("Mul", ["x", "zero"], ["zeros"]),
        helper.make_node("Exp", ["zeros"], ["ones"]),
        helper.make_node("CumSum", ["ones", "axis_row"], ["rows_of"]),
        helper.make_node("CumSum", ["ones", "axis_column"], ["columns_of"]),
        helper.make_node("Mul", ["rows_of", "row"], ["down"]),
        helper.make_node("Mul", ["columns_of", "column"], ["across"]),
        helper.make_node("Cast", ["labels"], ["number"], to=1),
        helper.make_node("Reshape", ["number", "one_each"], ["numbers"]),
        helper.make_node("Mul", ["numbers", "class"], ["what"]),
        helper.make_node("Reshape", ["t", "one_each"], ["now"]),
        helper.make_node("Mul", ["now", "time"], ["when"]),
        helper.make_node("Neg", ["x"], ["against"]),
        helper.make_node("Sum", ["against", "down", "across", "what", "when"], ["prediction"]),
        helper.make_node(
            "AveragePool", ["x"], ["pooled"], kernel_shape=[PATCH] * 2, strides=[PATCH] * 2
        ),
        helper.make_node("Reshape", ["pooled", "flat"], ["places"]),
        helper.make_node("Transpose", ["places"], ["features"], perm=[0, 2, 1]),
    ]
    shapes = {
        "axis_row": 2,
        "axis_column": 3,
        "one_each": (-1, 1, 1, 1),
        "flat": (0, CHANNELS, -1),
    }
    latents = ("float32", ("rows", CHANNELS, "height", "width"))
    inputs = {"x": latents, "t": ("float32", ("rows",)), "labels": ("int64", ("rows",))}
    features = ("float32", ("rows", "height*width//4", CHANNELS))
    return make_model(nodes, inputs, {"prediction": latents, "features": features}, weights, shapes)


def _decoder():
    nodes = [
        helper.make_node(
            "Resize",
            ["latents", "", "scales"],
            ["image"],
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )
    ]
    weights = {"scales": np.array([1, 1, FACTOR, FACTOR])}
    inputs = {"latents": ("float32", ("rows", CHANNELS, "height", "width"))}
    outputs = {"image": ("float32", ("rows", 3, "2*height", "2*width"))}
    return make_model(nodes, inputs, outputs, weights)
