"""A generator of prompts: from captioned pictures to an engine."""

import json

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("tokenizers")
pytest.importorskip("transformers")

import yaml
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import save_file
from tiny_recipes import tiny_recipe

import adagen_rt
from adagen_rt.cli import main
from adagen_rt.errors import AdagenError
from adagen_rt.evaluation import features
from adagen_rt.evaluation.agreement import load_agreement
from adagen_rt.export.recipe import load_recipe
from adagen_rt.models.efficientnet import EfficientNetLite0
from adagen_rt.training.demo.prompts import learn_words

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
TEXT = {"width": 8, "depth": 1, "heads": 2, "inner": 16, "projection": 4, "words": 300}
ENCODER = {"name": "text", "file": "tokenizer.json", "length": 8, "padding_id": 0}


@pytest.fixture(scope="module")
def captioned(tmp_path_factory):
    """Squares in three colours."""
    folder = tmp_path_factory.mktemp("captioned")
    lines = []
    for number in range(12):
        name = list(COLOURS)[number % 3]
        Image.new("RGB", (32, 32), COLOURS[name]).save(folder / f"{number}.png")
        lines.append(json.dumps({"file_name": f"{number}.png", "prompt": f"a {name} square"}))
    (folder / "metadata.jsonl").write_text("\n".join(lines))
    return folder


def prompt_recipe(family, folder):
    """The tiny recipe of a family with prompts in the place of classes."""
    content = tiny_recipe(family, 3).model_dump(mode="json", exclude_none=True)
    del content["classes"]
    content["backbone"] = {**content["backbone"], "context": TEXT["width"]}
    content["text"] = {**TEXT, "length": ENCODER["length"]}
    content["prompts"] = {"encoders": [ENCODER], "samples": ["a red square", "a blue square"]}
    content["files"] = {**content["files"], "text": "text.safetensors"}
    loop = {"steps": 3, "batch_size": 8, "preview_every": 3}
    content["training"] = {"tokenizer": loop, "generator": loop}
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def run(*arguments):
    done = CliRunner().invoke(main, [str(one) for one in arguments])
    assert done.exit_code == 0, done.output
    return done


@pytest.mark.parametrize("family", ["sit", "maskgit"])
def test_from_captions_to_an_engine_that_takes_prompts(tmp_path, captioned, family):
    recipe, folder = prompt_recipe(family, tmp_path), tmp_path / "run"
    common = ("train", "generator", "--recipe", recipe, "--data", captioned, "--out", folder)
    run(*common)
    written = ("backbone.safetensors", "decoder.safetensors", "text.safetensors", "tokenizer.json")
    assert all((folder / name).is_file() for name in written)
    assert (folder / "backbone" / "samples_000003.png").is_file()
    words = (folder / "tokenizer.json").read_bytes()
    run(*common, "--stage", "backbone", "--resume")
    assert (folder / "tokenizer.json").read_bytes() == words
    engine = tmp_path / "engine"
    run("export", recipe, "--weights", folder, "--out", engine)
    result = adagen_rt.load(engine).generate(prompts=["a red square", "A RED square"], seeds=[1, 1])
    assert result.images.shape == (2, 32, 32, 3)
    assert (result.images[0] == result.images[1]).all()
    assert_scored(engine, captioned, tmp_path)
    if family == "sit":
        real = ("--data", captioned, "--features", tmp_path / "lite.safetensors")
        quick = ("--candidates", 2, "--images", 4, "--out", folder)
        run("train", "schedule", "--engine-recipe", recipe, "--weights", folder, *real, *quick)
        assert load_recipe(folder / "recipe.yaml").schedule.tuned is not None


def assert_scored(engine, captioned, folder):
    """The engine's pictures are compared with the real ones, by a network of others."""
    save_file(EfficientNetLite0().state_dict(), folder / "lite.safetensors")
    asked = ("--data", captioned, "--samples", 10, "--schedule", "static", "--json")
    done = run("evaluate", engine, *asked, "--features", folder / "lite.safetensors")
    scores = json.loads(done.stdout)["scores"]["static"]
    assert scores["count"] == 10
    assert scores["frechet_effnet"] > 0
    assert "fid" not in scores
    assert scores["accuracy"] is None


def test_a_judge_of_agreement_learns_and_scores(tmp_path, captioned, monkeypatch, refuse):
    """Three plain colours, told apart by stand-in features: their means."""

    class Means(torch.nn.Module):
        distance = "Fréchet-Means"

        def __init__(self):
            super().__init__()
            self.spread = torch.nn.Parameter(torch.ones(1))

        def forward(self, images):
            return None, images.mean(dim=(2, 3)).repeat(1, 427)[:, :1280]

    monkeypatch.setattr(features, "load_features", lambda path: Means())
    folder = tmp_path / "judge"
    learn = ("train", "agreement", "--data", captioned, "--out", folder, "--steps", 30)
    done = run(*learn)
    assert "of 12 captions found" in done.output
    assert (folder / "agreement.safetensors").is_file()
    judge = load_agreement(folder)
    seen = torch.tensor([COLOURS["red"], COLOURS["blue"]]).float().repeat(1, 427)[:, :1280] / 255
    texts = ["a red square", "a blue square"]
    assert judge.accuracy(seen, texts, texts) == 1
    assert judge.accuracy(seen, texts[::-1], texts) == 0
    assert "--resume or --overwrite" in refuse(*learn)
    with pytest.raises(AdagenError, match="none"):
        load_agreement(tmp_path / "none")


def test_prompts_want_captions_and_an_encoder(tmp_path, refuse, captioned):
    for number in range(2):
        (tmp_path / "classes" / str(number)).mkdir(parents=True)
        Image.new("RGB", (32, 32)).save(tmp_path / "classes" / str(number) / "a.png")
    recipe = prompt_recipe("sit", tmp_path)
    options = ("--out", tmp_path / "run", "--recipe", recipe)
    told = refuse("train", "generator", *options, "--data", tmp_path / "classes")
    assert "captions, for prompts" in told
    assert not (tmp_path / "run").exists()
    content = yaml.safe_load(recipe.read_text())
    for place in (content["files"], content, content["backbone"]):
        place.pop("text", None)
        place.pop("context", None)
    recipe.write_text(yaml.safe_dump(content))
    told = refuse("train", "generator", *options, "--data", captioned)
    assert "text: missing" in told


def test_words_are_learnt_from_captions(tmp_path):
    from tokenizers import Tokenizer

    learn_words(["red apple"] * 3 + ["green apple"], 300, tmp_path / "words.json")
    tokenizer = Tokenizer.from_file(str(tmp_path / "words.json"))
    assert tokenizer.get_vocab_size() <= 300
    assert tokenizer.encode("").ids == [1]
    ids = tokenizer.encode("Red apple").ids
    assert ids == tokenizer.encode("red apple").ids
    assert len(ids) == 3  # both words, and the end
    assert tokenizer.decode(tokenizer.encode("naïve 猫").ids).strip() == "naïve 猫"
