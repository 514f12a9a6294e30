"""A MaskGIT engine of a few hundred weights, built without PyTorch.

4 x 4 tokens of 8 codes, 3 classes, 4 steps; a token is one pixel of a 4 x 4 grey image.
Options break one class in one place, so that tests can watch a single sample fail.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from adagen_rt.condition import ClassLabels
from adagen_rt.engine.folder import staged_engine, write_manifest
from adagen_rt.engine.manifest import Manifest
from adagen_rt.engine.schedule import ActionSpec, ScheduleSpec
from adagen_rt.engine.sections import GraphSpec, ImageSpec, TensorSpec
from adagen_rt.engine.static_schedules import Constant, Cosine, Decay, Ramp
from adagen_rt.families.maskgit.spec import MaskGITSpec

SIDE, VOCABULARY, WIDTH, STEPS = 4, 8, 6, 4
STD = 0.7
TOKENS = SIDE * SIDE
CLASSES = ("circle", "square", "t-bar")
SCHEDULE = ScheduleSpec(
    steps=STEPS,
    smoothing=0.8,
    actions=(
        ActionSpec(name="mask_ratio", activation="sigmoid", static=Cosine()),
        ActionSpec(name="confidence_temperature", activation="softplus", static=Decay()),
        ActionSpec(name="sampling_temperature", activation="softplus", static=Constant(value=1.0)),
        ActionSpec(name="guidance_scale", activation="softplus", static=Ramp()),
    ),
)
DTYPES = {"int64": TensorProto.INT64, "float32": TensorProto.FLOAT}


@dataclass(frozen=True)
class Options:
    """What to build.

    Attributes:
        policy: Whether the engine has a policy.
        policy_scale: What the policy's output is multiplied by; 0 is the static schedule.
        nan_logits: A class whose logits are NaN.
        nan_policy: A class whose policy output is NaN.
        judges: Whether the engine has a critic, a fidelity policy and a reward model.
        critic_scale: What the critic's output is multiplied by; 0 is no preference.
        seed: Of the weights.
    """

    policy: bool = True
    policy_scale: float = 1.0
    nan_logits: int | None = None
    nan_policy: int | None = None
    judges: bool = False
    critic_scale: float = 1.0
    seed: int = 0


def build_tiny_engine(folder: Path, options: Options = Options(), name: str = "tiny") -> Path:
    """Write an engine folder and return its path."""
    rng = np.random.default_rng(options.seed)
    builders = {"backbone": _backbone, "decoder": _decoder, "policy": _policy}
    if options.judges:
        builders |= {"critic": _critic, "fidelity_policy": _policy, "reward": _reward}
    models = {key: build(rng, options) for key, build in builders.items()}
    if not options.policy:
        del models["policy"]
    with staged_engine(folder) as staging:
        for key, model in models.items():
            onnx.save(model, staging / f"{key}.onnx")
        manifest = Manifest.model_construct(
            format=1,
            name=name,
            family=MaskGITSpec(tokens=TOKENS, vocabulary=VOCABULARY),
            condition=ClassLabels(count=len(CLASSES), names=CLASSES),
            image=ImageSpec(size=SIDE, channels=1),
            schedule=SCHEDULE,
            refinement_std=STD if options.judges else None,
            graphs={key: describe_graph(key, model) for key, model in models.items()},
            dtype="float32",
            versions={"tiny": "1"},
            files={},
        )
        write_manifest(staging, manifest)
    return folder


def _backbone(rng, options):
    """Each token sees itself, its place, the mean of all tokens and the label."""
    weights = {
        "words": rng.normal(size=(VOCABULARY + 1, WIDTH)),
        "places": rng.normal(size=(TOKENS, WIDTH)),
        "classes": rng.normal(size=(len(CLASSES) + 1, 1, WIDTH)),
        "head": 3 * rng.normal(size=(WIDTH, VOCABULARY)),
        "logit_fault": _fault(options.nan_logits),
        "feature_fault": _fault(options.nan_policy),
    }
    nodes = [
        helper.make_node("Gather", ["words", "tokens"], ["word"]),
        helper.make_node("Gather", ["classes", "labels"], ["label"]),
        helper.make_node("ReduceMean", ["word", "axis_1"], ["context"], keepdims=1),
        helper.make_node("Sum", ["word", "places", "label", "context"], ["sum"]),
        helper.make_node("Tanh", ["sum"], ["hidden"]),
        helper.make_node("MatMul", ["hidden", "head"], ["scores"]),
        helper.make_node("Gather", ["logit_fault", "labels"], ["bad_logits"]),
        helper.make_node("Add", ["scores", "bad_logits"], ["logits"]),
        helper.make_node("Gather", ["feature_fault", "labels"], ["bad_features"]),
        helper.make_node("Add", ["hidden", "bad_features"], ["features"]),
    ]
    inputs = {"tokens": ("int64", ("rows", TOKENS)), "labels": ("int64", ("rows",))}
    outputs = {
        "logits": ("float32", ("rows", TOKENS, VOCABULARY)),
        "features": ("float32", ("rows", TOKENS, WIDTH)),
    }
    return make_model(nodes, inputs, outputs, weights)


def _decoder(rng, options):
    """Code k is a grey level."""
    weights = {"levels": np.linspace(-0.1, 1.1, VOCABULARY)}
    nodes = [
        helper.make_node("Gather", ["levels", "tokens"], ["flat"]),
        helper.make_node("Reshape", ["flat", "image_shape"], ["image"]),
    ]
    inputs = {"tokens": ("int64", ("rows", TOKENS))}
    outputs = {"image": ("float32", ("rows", 1, SIDE, SIDE))}
    return make_model(nodes, inputs, outputs, weights)


def _policy(rng, options):
    """Linear in the mean feature, plus a row for every step."""
    actions, scale = len(SCHEDULE.actions), options.policy_scale
    weights = {
        "weight": scale * rng.normal(size=(WIDTH, actions)),
        "steps": scale * rng.normal(size=(STEPS, actions)),
    }
    nodes = [
        helper.make_node("ReduceMean", ["features", "axis_1"], ["mean"], keepdims=0),
        helper.make_node("MatMul", ["mean", "weight"], ["chosen"]),
        helper.make_node("Gather", ["steps", "step"], ["usual"]),
        helper.make_node("Add", ["chosen", "usual"], ["raw"]),
    ]
    inputs = {"features": ("float32", ("rows", TOKENS, WIDTH)), "step": ("int64", ("rows",))}
    return make_model(nodes, inputs, {"raw": ("float32", ("rows", actions))}, weights)


def _critic(rng, options):
    """Linear in the mean feature, plus a number for every step."""
    weights = {
        "weight": options.critic_scale * rng.normal(size=(WIDTH, 1)),
        "steps": options.critic_scale * rng.normal(size=(STEPS,)),
    }
    nodes = [
        helper.make_node("ReduceMean", ["features", "axis_1"], ["mean"], keepdims=0),
        helper.make_node("MatMul", ["mean", "weight"], ["column"]),
        helper.make_node("Squeeze", ["column", "axis_1"], ["seen"]),
        helper.make_node("Gather", ["steps", "step"], ["usual"]),
        helper.make_node("Add", ["seen", "usual"], ["value"]),
    ]
    inputs = {"features": ("float32", ("rows", TOKENS, WIDTH)), "step": ("int64", ("rows",))}
    return make_model(nodes, inputs, {"value": ("float32", ("rows",))}, weights)


def _reward(rng, options):
    """How bright the image is, plus a number for the class."""
    weights = {"classes": rng.normal(size=(len(CLASSES),))}
    nodes = [
        helper.make_node("ReduceMean", ["image", "axes_image"], ["bright"], keepdims=0),
        helper.make_node("Gather", ["classes", "labels"], ["usual"]),
        helper.make_node("Add", ["bright", "usual"], ["reward"]),
    ]
    inputs = {
        "image": ("float32", ("rows", 1, SIDE, SIDE)),
        "labels": ("int64", ("rows",)),
    }
    return make_model(nodes, inputs, {"reward": ("float32", ("rows",))}, weights)


def _fault(label):
    """Zero for every label, NaN for one; (classes + 1, 1, 1)."""
    values = np.zeros((len(CLASSES) + 1, 1, 1))
    if label is not None:
        values[label] = np.nan
    return values


def make_model(nodes, inputs, outputs, weights, shapes=None):
    constants = {
        "axis_1": np.array([1]),
        "axes_image": np.array([1, 2, 3]),
        "image_shape": np.array([-1, 1, SIDE, SIDE]),
        **{name: value.astype(np.float32) for name, value in weights.items()},
        **{name: np.array(shape) for name, shape in (shapes or {}).items()},
    }
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(k, DTYPES[d], s) for k, (d, s) in inputs.items()],
        [helper.make_tensor_value_info(k, DTYPES[d], s) for k, (d, s) in outputs.items()],
        [numpy_helper.from_array(v, k) for k, v in constants.items() if k in used],
    )
    return helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 18)])


def describe_graph(name, model):
    names = {code: name for name, code in DTYPES.items()}

    def specs(values):
        return tuple(
            TensorSpec(
                name=value.name,
                dtype=names[value.type.tensor_type.elem_type],
                shape=tuple(d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim),
            )
            for value in values
        )

    arrays = [numpy_helper.to_array(tensor) for tensor in model.graph.initializer]
    return GraphSpec(
        file=f"{name}.onnx",
        inputs=specs(model.graph.input),
        outputs=specs(model.graph.output),
        parameters=sum(array.size for array in arrays if array.dtype == np.float32),
        flops=1000 if name == "backbone" else 10,
    )
