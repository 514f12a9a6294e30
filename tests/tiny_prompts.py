"""A flow engine of a few hundred weights that takes prompts, built without PyTorch.

4 x 4 latents, 4 steps; two text encoders of different lengths over one tokenizer of words, of
which the second has a mask. The backbone attends to the second's tokens, and adds the first's.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import helper
from tiny_engine import describe_graph, make_model

from adagen_rt.condition import Prompts, TextTokens
from adagen_rt.engine.folder import staged_engine, write_manifest
from adagen_rt.engine.manifest import Manifest
from adagen_rt.engine.schedule import ActionSpec, ScheduleSpec
from adagen_rt.engine.sections import ImageSpec
from adagen_rt.engine.static_schedules import Constant, Linear
from adagen_rt.families.diffusion.spec import DiffusionSpec

SIDE, CHANNELS, WIDTH, STEPS = 4, 4, 6, 4
PLACES = SIDE * SIDE
#: Tokens that each encoder reads; every text has two tokens more than words.
SHORT, LONG = 6, 9
WORDS = [
    *("a", "red", "blue", "green", "cat", "dog", "bird"),
    *("sits", "runs", "flies", "on", "under", "the", "sky"),
]
SPECIAL = {"[PAD]": 0, "[UNK]": 1, "[BOS]": 2, "[EOS]": 3}
SCHEDULE = ScheduleSpec(
    steps=STEPS,
    smoothing=0.5,
    actions=(
        ActionSpec(name="time", activation="sigmoid", static=Linear(start=0.01, stop=0.99)),
        ActionSpec(name="guidance_scale", activation="softplus", static=Constant(value=1.5)),
    ),
)
CONTEXT = {"context": (LONG, WIDTH), "context_mask": (LONG,), "pooled": (WIDTH,)}


@dataclass(frozen=True)
class PromptOptions:
    """What to build.

    Attributes:
        guidance: How the backbone is guided.
        judges: Whether the engine has a critic, a fidelity policy and a reward model.
        negative: The engine's own negative prompt.
    """

    guidance: str = "classifier-free"
    judges: bool = False
    negative: str = ""


def build_prompt_engine(folder: Path, options: PromptOptions = PromptOptions()) -> Path:
    """Write an engine folder and return its path."""
    rng = np.random.default_rng(0)
    builders = {"condition": _condition, "backbone": _backbone, "decoder": _decoder}
    builders |= {"policy": _policy}
    if options.judges:
        builders |= {"critic": _critic, "fidelity_policy": _policy, "reward": _reward}
    models = {key: build(rng, options) for key, build in builders.items()}
    with staged_engine(folder) as staging:
        for key, model in models.items():
            onnx.save(model, staging / f"{key}.onnx")
        make_tokenizer().save(str(staging / "words.json"))
        manifest = Manifest.model_construct(
            format=1,
            name="tiny-prompts",
            family=DiffusionSpec(
                family="sit", channels=CHANNELS, size=SIDE, tokens=PLACES, width=WIDTH
            ),
            condition=prompts(options),
            image=ImageSpec(size=SIDE, channels=3),
            schedule=SCHEDULE,
            refinement_std=0.7 if options.judges else None,
            graphs={key: describe_graph(key, model) for key, model in models.items()},
            dtype="float32",
            versions={"tiny": "1"},
            files={},
        )
        write_manifest(staging, manifest)
    return folder


def prompts(options: PromptOptions = PromptOptions()) -> Prompts:
    """The manifest's section."""
    short = TextTokens(name="short", file="words.json", length=SHORT, padding_id=3)
    long = TextTokens(name="long", file="words.json", length=LONG, padding_id=0, mask=True)
    return Prompts(
        guidance=options.guidance,
        encoders=(short, long),
        negative=options.negative,
        samples=("a red cat sits", "a blue bird flies"),
    )


def make_tokenizer():
    """A tokenizer of words, which puts a token at both ends."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    known = SPECIAL | {word: len(SPECIAL) + place for place, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(known, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[BOS] $A [EOS]", special_tokens=[("[BOS]", 2), ("[EOS]", 3)]
    )
    return tokenizer


def _condition(rng, options):
    """Embeddings of the words and their places; the short text is only known by its mean."""
    entries = len(SPECIAL) + len(WORDS)
    weights = {
        "words": rng.normal(size=(entries, WIDTH)),
        "places": rng.normal(size=(LONG, WIDTH)),
        "summary": rng.normal(size=(entries, WIDTH)),
    }
    nodes = [
        helper.make_node("Gather", ["words", "long_ids"], ["word"]),
        helper.make_node("Add", ["word", "places"], ["context"]),
        helper.make_node("Cast", ["long_mask"], ["context_mask"], to=1),
        helper.make_node("Gather", ["summary", "short_ids"], ["parts"]),
        helper.make_node("ReduceMean", ["parts", "axis_1"], ["pooled"], keepdims=0),
    ]
    shapes = {"short_ids": (SHORT,), "long_ids": (LONG,), "long_mask": (LONG,)}
    inputs = {name: ("int64", ("rows", *shape)) for name, shape in shapes.items()}
    outputs = {name: ("float32", ("rows", *shape)) for name, shape in CONTEXT.items()}
    return make_model(nodes, inputs, outputs, weights)


def _backbone(rng, options):
    """Each place attends to the words, and sees the summary, the time and the guidance."""
    embedded = options.guidance == "embedded"
    weights = {
        "look": rng.normal(size=(CHANNELS, WIDTH)),
        "own": rng.normal(size=(CHANNELS, WIDTH)),
        "head": rng.normal(size=(WIDTH, CHANNELS)),
        "clock": rng.normal(size=(1, 1, WIDTH)),
        "strength": rng.normal(size=(1, 1, WIDTH)),
        "one": np.ones(()),
        "far": np.full((), 1e4),
    }
    shapes = {
        "flat": (0, CHANNELS, PLACES),
        "column": (-1, 1, 1),
        "square": (0, CHANNELS, SIDE, SIDE),
    }
    nodes = [
        helper.make_node("Reshape", ["x", "flat"], ["pixels"]),
        helper.make_node("Transpose", ["pixels"], ["seen"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["seen", "look"], ["query"]),
        helper.make_node("Transpose", ["context"], ["key"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["query", "key"], ["scores"]),
        helper.make_node("Sub", ["context_mask", "one"], ["hidden_words"]),
        helper.make_node("Mul", ["hidden_words", "far"], ["away"]),
        helper.make_node("Unsqueeze", ["away", "axis_1"], ["away_row"]),
        helper.make_node("Add", ["scores", "away_row"], ["masked"]),
        helper.make_node("Softmax", ["masked"], ["shares"], axis=-1),
        helper.make_node("MatMul", ["shares", "context"], ["told"]),
        helper.make_node("MatMul", ["seen", "own"], ["self"]),
        helper.make_node("Unsqueeze", ["pooled", "axis_1"], ["summary"]),
        helper.make_node("Reshape", ["t", "column"], ["time"]),
        helper.make_node("Mul", ["time", "clock"], ["now"]),
        helper.make_node("Sum", ["told", "self", "summary", "now"], ["sum"]),
    ]
    total = "sum"
    if embedded:
        nodes += [
            helper.make_node("Reshape", ["guidance", "column"], ["scale"]),
            helper.make_node("Mul", ["scale", "strength"], ["push"]),
            helper.make_node("Add", ["sum", "push"], ["guided"]),
        ]
        total = "guided"
    nodes += [
        helper.make_node("Tanh", [total], ["features"]),
        helper.make_node("MatMul", ["features", "head"], ["moves"]),
        helper.make_node("Transpose", ["moves"], ["turned"], perm=[0, 2, 1]),
        helper.make_node("Reshape", ["turned", "square"], ["prediction"]),
    ]
    latents = ("float32", ("rows", CHANNELS, SIDE, SIDE))
    inputs = {"x": latents, "t": ("float32", ("rows",))}
    if embedded:
        inputs["guidance"] = ("float32", ("rows",))
    inputs |= {name: ("float32", ("rows", *shape)) for name, shape in CONTEXT.items()}
    outputs = {"prediction": latents, "features": ("float32", ("rows", PLACES, WIDTH))}
    return make_model(nodes, inputs, outputs, weights, shapes)


def _decoder(rng, options):
    """Three mixtures of the latents' channels."""
    weights = {"mix": rng.normal(size=(3, CHANNELS, 1, 1)) / 2, "grey": np.full((), 0.5)}
    nodes = [
        helper.make_node("Conv", ["latents", "mix"], ["mixed"]),
        helper.make_node("Add", ["mixed", "grey"], ["image"]),
    ]
    inputs = {"latents": ("float32", ("rows", CHANNELS, SIDE, SIDE))}
    return make_model(nodes, inputs, {"image": ("float32", ("rows", 3, SIDE, SIDE))}, weights)


def _policy(rng, options):
    return _chooser(rng, len(SCHEDULE.actions), "raw")


def _critic(rng, options):
    return _chooser(rng, None, "value")


def _chooser(rng, width, output):
    """Linear in the mean feature, plus a row for every call."""
    columns = () if width is None else (width,)
    weights = {
        "weight": rng.normal(size=(WIDTH, *columns)) / 4,
        "steps": rng.normal(size=(STEPS + 1, *columns)) / 4,
    }
    nodes = [
        helper.make_node("ReduceMean", ["features", "axis_1"], ["mean"], keepdims=0),
        helper.make_node("MatMul", ["mean", "weight"], ["chosen"]),
        helper.make_node("Gather", ["steps", "step"], ["usual"]),
        helper.make_node("Add", ["chosen", "usual"], [output]),
    ]
    inputs = {"features": ("float32", ("rows", PLACES, WIDTH)), "step": ("int64", ("rows",))}
    return make_model(nodes, inputs, {output: ("float32", ("rows", *columns))}, weights)


def _reward(rng, options):
    """How bright the image is, plus a number for every word."""
    weights = {"values": rng.normal(size=(len(SPECIAL) + len(WORDS),))}
    nodes = [
        helper.make_node("ReduceMean", ["image", "axes_image"], ["bright"], keepdims=0),
        helper.make_node("Gather", ["values", "short_ids"], ["each"]),
        helper.make_node("ReduceMean", ["each", "axis_1"], ["usual"], keepdims=0),
        helper.make_node("Add", ["bright", "usual"], ["reward"]),
    ]
    inputs = {
        "image": ("float32", ("rows", 3, SIDE, SIDE)),
        "short_ids": ("int64", ("rows", SHORT)),
    }
    return make_model(nodes, inputs, {"reward": ("float32", ("rows",))}, weights)
