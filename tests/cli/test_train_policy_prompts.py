"""`adagen-rt train policy` for a generator of prompts, with a reward from a file."""

import csv
import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("tokenizers")
pytest.importorskip("transformers")

from PIL import Image
from tiny_recipes import save_text_model, text_recipe
from tiny_reward import reward_graph

from adagen_rt.export.recipe import load_recipe
from adagen_rt.pipeline.load import load

CAPTIONS = ("a red cat sits", "a blue bird flies", "the dog runs", "on the sky")
QUICK = (
    "trajectories=32",
    "std_drops=[]",
    "save_every=1",
    "minibatch=16",
    "learning_rate=5e-2",
    "first_std=1",
)


@pytest.fixture(scope="module")
def trainable(tmp_path_factory):
    """A tiny MaskGIT of prompts: recipe, weights, and captioned pictures."""
    folder = tmp_path_factory.mktemp("prompts")
    recipe, weights = text_recipe(), folder / "weights"
    save_text_model(recipe, weights)
    content = recipe.model_dump(mode="json", exclude_none=True)
    (folder / "tiny.yaml").write_text(json.dumps(content))
    (folder / "set").mkdir()
    lines = [json.dumps({"file_name": f"{i}.png", "text": t}) for i, t in enumerate(CAPTIONS)]
    (folder / "set" / "metadata.jsonl").write_text("\n".join(lines))
    for number in range(len(CAPTIONS)):
        pixels = np.full((32, 32), 50 * number, np.uint8)
        Image.fromarray(pixels).save(folder / "set" / f"{number}.png")
    return folder


@pytest.fixture
def arguments(trainable, tmp_path):
    paths = ("--engine-recipe", trainable / "tiny.yaml", "--weights", trainable / "weights")
    quick = [part for setting in QUICK for part in ("--set", setting)]
    out = ("--out", tmp_path / "run", "--evaluate", 4)
    return ("train", "policy", *paths, "--data", trainable / "set", *out, *quick)


def test_a_policy_learns_from_captions_and_a_file(run, arguments, tmp_path):
    reward = f"onnx:{reward_graph(tmp_path / 'contrast.onnx', ['clip_ids'])}=10"
    done = run(*arguments, "--reward", reward, "--set", "updates=2")
    assert done.exit_code == 0, done.output
    folder = tmp_path / "run"
    with (folder / "policy" / "log.csv").open() as log:
        assert all(float(row["reward"]) > 0 for row in list(csv.DictReader(log))[1:])
    done = run("export", folder / "recipe.yaml", "--weights", folder, "--out", tmp_path / "engine")
    assert done.exit_code == 0, done.output
    pipeline = load(tmp_path / "engine")
    asked = {"prompts": CAPTIONS, "seeds": range(len(CAPTIONS))}
    trained, static = (pipeline.generate(**asked, schedule=s) for s in ("policy", "static"))
    assert not np.array_equal(trained.images, static.images)


@pytest.mark.parametrize("features", ["features.pth", "tokenizer"])
def test_a_discriminator_is_told_what_sums_up_a_prompt(run, arguments, tmp_path, features):
    from adagen_rt.models.vit import ViT, ViTConfig

    torch.manual_seed(0)
    config = ViTConfig(width=64, depth=4, heads=1, patch=8, grid=4)
    torch.save(ViT(config).state_dict(), tmp_path / "features.pth")
    named = tmp_path / features if features.endswith(".pth") else features
    few = ("updates=1", "discriminator.steps=1", "discriminator.batch_size=4")
    few = [part for setting in few for part in ("--set", setting)]
    done = run(*arguments, "--features", named, *few)
    assert done.exit_code == 0, done.output
    folder = tmp_path / "run"
    assert (folder / "discriminator.safetensors").is_file()
    assert not load_recipe(folder / "recipe.yaml").files.reward


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ((), "--reward: got 'adversarial', expected onnx:FILE for prompts"),
        (("--reward", "onnx:/nowhere"), "reward: got 'onnx:/nowhere', expected onnx:FILE"),
        (("--data", "/nowhere", "--reward", "GOOD"), "--data: got '/nowhere'"),
        (("--reward", "GOOD", "--reward", "fid"), "onnx:FILE for prompts"),
        (("--reward", "GOOD=high"), "reward: got"),
    ],
)
def test_what_does_not_fit_is_refused(refuse, arguments, tmp_path, options, told):
    good = f"onnx:{reward_graph(tmp_path / 'good.onnx')}"
    assert told in refuse(*arguments, *(str(one).replace("GOOD", good) for one in options))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"inputs": ["labels"]}, "got \"the input 'labels'\", expected any of image, clip_ids"),
        ({"outputs": 2}, "2 outputs"),
        ({"shape": ("rows", 3, 32, 32)}, "got 'a graph', expected one that takes 2 images"),
        ({"axes": (1, 2)}, "got 'an output (2, 32)'"),
        ({"axes": (0, 1, 2, 3)}, "got 'an output ()'"),
    ],
)
def test_a_graph_that_scores_no_image_is_refused(refuse, arguments, tmp_path, options, told):
    file = reward_graph(tmp_path / "other.onnx", **options)
    assert told in refuse(*arguments, "--reward", f"onnx:{file}").replace('\\"', '"')


def test_a_file_that_is_no_graph_is_refused(refuse, arguments, tmp_path):
    (tmp_path / "text.onnx").write_text("hello")
    assert "got 'no ONNX file'" in refuse(*arguments, "--reward", f"onnx:{tmp_path}/text.onnx")
