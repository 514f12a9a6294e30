"""Recipes of all four families, small enough to train on and export within seconds."""

from pathlib import Path

from safetensors.torch import save_file
from tiny_prompts import SPECIAL, WORDS, make_tokenizer

from adagen_rt.export.description import describe_model
from adagen_rt.export.networks import Networks, seed_networks
from adagen_rt.export.recipe import Recipe
from adagen_rt.training.policy.environment import Environment

FAMILIES = ("maskgit", "var", "dit", "sit")
CLASSES = 10
_IMAGES = {"image_channels": 1, "channels": 8, "multipliers": [1, 2, 2], "groups": 4}
_IMAGES |= {"encoder_blocks": 1, "decoder_blocks": 1}
_CODES = {"vocabulary": 8, "latent_channels": 4}
_SCALES = [1, 2, 4, 8]
_MASKGIT = {"width": 16, "depth": 3, "heads": 2, "vocabulary": 8, "tokens": 64}
_VAR = {"width": 16, "depth": 1, "heads": 2, "vocabulary": 8, "code_width": 4, "scales": _SCALES}
_DIT = {"width": 16, "depth": 1, "heads": 2, "patch": 2, "size": 8, "channels": 4}
_PARTS = {
    "maskgit": (_MASKGIT, {**_IMAGES, **_CODES}, 0.8, 4),
    "var": (_VAR, {**_IMAGES, **_CODES, "scales": _SCALES, "phis": [0, 0, 1, 1]}, 0.0, 4),
    "dit": (_DIT, {**_IMAGES, "latent_channels": 4, "latent_scale": 0.2}, 0.4, 4),
    "sit": (_DIT, {**_IMAGES, "latent_channels": 4, "latent_scale": 0.2}, 0.8, 4),
}
_GUIDANCE = ("guidance_scale", "softplus", {"kind": "constant", "value": 1.5})
_TEMPERATURE = ("sampling_temperature", "softplus", {"kind": "constant", "value": 1.0})
_ACTIONS = {
    "maskgit": (
        ("mask_ratio", "sigmoid", {"kind": "cosine"}),
        ("confidence_temperature", "softplus", {"kind": "decay"}),
        _TEMPERATURE,
        ("guidance_scale", "softplus", {"kind": "ramp"}),
    ),
    "var": (
        _GUIDANCE,
        ("top_k", "sigmoid", {"kind": "constant", "value": 0.7}),
        ("top_p", "sigmoid", {"kind": "constant", "value": 0.9}),
        _TEMPERATURE,
    ),
    "dit": (("time", "sigmoid", {"kind": "linear", "start": 0.9, "stop": 0.01}), _GUIDANCE),
    "sit": (("time", "sigmoid", {"kind": "linear", "start": 0.01, "stop": 0.99}), _GUIDANCE),
}


def tiny_recipe(family: str, image_channels: int = 1) -> Recipe:
    """32 x 32 images of ten classes in four steps, grey unless told otherwise."""
    backbone, decoder, smoothing, steps = _PARTS[family]
    decoder = {**decoder, "image_channels": image_channels}
    actions = [{"name": n, "activation": a, "static": s} for n, a, s in _ACTIONS[family]]
    if family == "var":
        actions[1]["scale"] = 8
        actions[1]["static"] = {"kind": "constant", "value": 5.0}
    return Recipe.model_validate(
        {
            "name": f"tiny-{family}",
            "family": family,
            "backbone": {**backbone, "classes": CLASSES},
            "decoder": decoder,
            "policy": {"hidden": 16},
            "schedule": {"steps": steps, "smoothing": smoothing, "actions": actions},
            "classes": CLASSES,
            "pixel_range": [-1.0, 1.0],
            "latent_scale": decoder.get("latent_scale"),
        }
    )


TEXT_LENGTH, TEXT_WIDTH = 6, 12
#: Sizes of a text encoder but its vocabulary.
TEXT = {
    "width": TEXT_WIDTH,
    "depth": 2,
    "heads": 2,
    "inner": 16,
    "projection": 4,
    "length": TEXT_LENGTH,
}


def text_recipe(**changes):
    """The tiny recipe with prompts in the place of classes."""
    content = tiny_recipe("maskgit").model_dump(mode="json", exclude_none=True)
    del content["classes"], content["backbone"]["classes"]
    content["backbone"]["context"] = TEXT_WIDTH
    content["text"] = {**TEXT, "words": len(SPECIAL) + len(WORDS)}
    encoder = {"name": "clip", "file": "words.json", "length": TEXT_LENGTH, "padding_id": 0}
    content["prompts"] = {"encoders": [encoder]}
    content["files"] |= {"policy": "policy.safetensors", "text": "text/model.safetensors"}
    return Recipe.model_validate({**content, **changes})


def save_text_model(recipe: Recipe, folder: Path) -> None:
    """Write a text recipe's weights and tokenizer."""
    networks = tiny_networks(recipe)
    for name, file in recipe.files.model_dump(exclude_none=True).items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        save_file(getattr(networks, name).state_dict(), folder / file)
    make_tokenizer().save(str(folder / "words.json"))


#: What makes a recipe's images 24 high and 40 wide.
_WIDE_SCALES = [1, [1, 2], [3, 5], [6, 10]]
_WIDE = {
    "maskgit": {"backbone": {"tokens": [6, 10], "patch": 2}},
    "var": {"backbone": {"scales": _WIDE_SCALES}, "decoder": {"scales": _WIDE_SCALES}},
    "dit": {"backbone": {"size": [6, 10]}},
    "sit": {"backbone": {"size": [6, 10]}},
}


def wide_recipe(family: str, image_channels: int = 1) -> Recipe:
    """The same for images that are not square; MaskGIT has patches, and its policy another grid."""
    content = tiny_recipe(family, image_channels).model_dump(mode="json", exclude_none=True)
    for section, values in _WIDE[family].items():
        content[section] |= values
    if family == "maskgit":
        content["policy"]["grid"] = [1, 5]
    return Recipe.model_validate(content | {"name": f"wide-{family}"})


def judged_recipe(family: str) -> Recipe:
    """The same with a critic, a fidelity policy and the demo's reward model, which is small."""
    recipe = tiny_recipe(family)
    names = ("policy", "critic", "fidelity_policy", "reward")
    files = recipe.files.model_copy(update={name: f"{name}.safetensors" for name in names})
    small = {"network": "convolutional", "average": "probabilities"}
    reward = recipe.reward.model_copy(update=small)
    return recipe.model_copy(update={"files": files, "reward": reward})


def tiny_networks(recipe: Recipe) -> Networks:
    """Seeded weights; the policy's output is not zero."""
    return seed_networks(recipe, "tiny")


def tiny_environment(recipe: Recipe, networks: Networks) -> Environment:
    """The trainer's view of the networks."""
    return Environment.of_networks(describe_model(recipe), networks.backbone, networks.decoder)
