import copy
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tiny_recipes import tiny_recipe

from adagen_rt.condition import ClassLabels, class_rows
from adagen_rt.errors import InputError, TrainingError
from adagen_rt.export.description import describe_model
from adagen_rt.families.diffusion.network import DiTConfig
from adagen_rt.families.diffusion.task import DiffusionTask
from adagen_rt.families.maskgit.network import MaskGITConfig
from adagen_rt.families.maskgit.task import MaskGITTask
from adagen_rt.models.autoencoder import VQGAN
from adagen_rt.models.checkpoint import load_state
from adagen_rt.models.random import keyed_generator
from adagen_rt.models.task import CONDITION_DROPOUT
from adagen_rt.training import stopping
from adagen_rt.training.demo.examples import Examples
from adagen_rt.training.demo.generator import (
    CODES,
    Stage,
    encode,
    load_autoencoder,
    train_backbone,
    train_decoder,
    train_tokenizer,
)
from adagen_rt.training.demo.loop import Trainer
from adagen_rt.training.demo.settings import LoopConfig
from adagen_rt.training.demo.tokenizers import TrainableVQ, VQTask, calibrate, to_range
from adagen_rt.training.policy.environment import Environment


def pair(family):
    """A generator and its tokenizer, both tiny, and what they make."""
    torch.manual_seed(0)
    recipe = tiny_recipe(family)
    return recipe.make_backbone(), recipe.make_decoder(), describe_model(recipe)


def pictures(count=40):
    """Bars whose place is the class: something a tiny network can learn."""
    labels = np.arange(count) % 10
    pixels = np.zeros((count, 32, 32), np.uint8)
    for image, label in zip(pixels, labels, strict=True):
        image[:, 3 * label : 3 * label + 4] = 200
    return Examples(torch.from_numpy(pixels)[:, None], class_rows(torch.from_numpy(labels)))


FILES, B = {"backbone": "backbone.safetensors"}, {"backbone": "b.safetensors"}
FAMILIES = ["maskgit", "var", "dit", "sit"]


@pytest.mark.parametrize("family", FAMILIES)
def test_both_stages_run_and_leave_weights_that_load(tmp_path, family):
    network, decoder, manifest = pair(family)
    stage = Stage(LoopConfig(steps=3, batch_size=8, preview_every=3), tmp_path)
    train_tokenizer(decoder, pictures().pixels, manifest.image, stage, "decoder.safetensors")
    fresh = load_autoencoder(pair(family)[1], tmp_path / "decoder.safetensors")
    train_backbone(network, fresh, pictures(), manifest, stage, FILES)
    assert (tmp_path / "backbone" / "samples_000003.png").is_file()
    assert (tmp_path / "tokenizer" / "samples_000003.png").is_file()
    environment = Environment.of_networks(manifest, network, fresh)
    images = environment.static_images([0, 1, 2])
    assert images.shape == (3, 1, 32, 32)
    assert images.isfinite().all()


@pytest.mark.parametrize("family", ["maskgit", "var", "dit"])
def test_tokenizers_learn(tmp_path, family):
    _, decoder, manifest = pair(family)
    config = LoopConfig(steps=60, batch_size=16, learning_rate=5e-3, warmup=5, bf16=False)
    stage = Stage(config, tmp_path)
    train_tokenizer(decoder, pictures().pixels, manifest.image, stage, "decoder.safetensors")
    losses = [float(line.split(",")[1]) for line in _log(tmp_path / "tokenizer")]
    assert losses[-1] < 0.6 * losses[0]


@pytest.mark.parametrize("family", ["maskgit", "var", "dit"])
def test_a_decoder_learns_and_its_codes_stay_what_they_are(tmp_path, family):
    _, decoder, manifest = pair(family)
    before = copy.deepcopy(decoder.state_dict())
    config = LoopConfig(steps=60, batch_size=16, learning_rate=5e-3, warmup=5, bf16=False)
    stage = Stage(config, tmp_path)
    train_decoder(decoder, pictures().pixels, manifest.image, stage, "d.safetensors")
    losses = [float(line.split(",")[1]) for line in _log(tmp_path / "decoder")]
    assert losses[-1] < 0.6 * losses[0]
    after = load_state(tmp_path / "d.safetensors")
    moved = {name.split(".")[0] for name in after if not after[name].equal(before[name])}
    assert moved == {"decoder"} | ({"post_quant_conv"} & {n.split(".")[0] for n in after})
    images = to_range(pictures().pixels, *manifest.image.pixel_range)
    codes = load_state(tmp_path / "codes.safetensors")["codes"]
    decoder.load_state_dict(after)
    torch.testing.assert_close(codes, decoder.encode(images).to(codes.dtype))


@pytest.mark.parametrize("family", FAMILIES)
def test_backbones_learn(tmp_path, family):
    network, decoder, manifest = pair(family)
    config = LoopConfig(steps=60, batch_size=16, learning_rate=5e-3, warmup=5, bf16=False)
    stage = Stage(config, tmp_path)
    train_backbone(network, decoder, pictures(), manifest, stage, FILES)
    losses = [float(line.split(",")[1]) for line in _log(tmp_path / "backbone")]
    assert losses[-1] < 0.95 * losses[0]


def test_captions_alone_train_no_backbone(tmp_path):
    network, decoder, manifest = pair("dit")
    examples = replace(pictures(), rows=None)
    stage = Stage(LoopConfig(steps=1), tmp_path)
    with pytest.raises(InputError, match="a folder for each class"):
        train_backbone(network, decoder, examples, manifest, stage, FILES)


def test_a_tokenizer_of_other_images_learns_without_the_known_ones_features(tmp_path):
    recipe = tiny_recipe("dit")
    decoder = replace(recipe.decoder, image_channels=3)
    recipe = recipe.model_copy(update={"decoder": decoder})
    pixels = pictures(8).pixels.expand(-1, 3, -1, -1)
    stage = Stage(LoopConfig(steps=2, batch_size=8, preview_every=2), tmp_path)
    image = describe_model(recipe).image
    train_tokenizer(recipe.make_decoder(), pixels, image, stage, "decoder.safetensors")
    assert (tmp_path / "tokenizer" / "samples_000002.png").is_file()


def _log(folder):
    return (folder / "log.csv").read_text().splitlines()[1:]


class Recorder(torch.nn.Module):
    """Stands in for a network and keeps what it was given."""

    def __init__(self, config, answer):
        super().__init__()
        self.config, self.answer, self.seen = config, answer, []

    def forward(self, *arguments, **rows):
        self.seen.append((*arguments, *rows.values()))
        return self.answer(*arguments, **rows), None


def test_maskgit_masks_by_the_cosine_rule_and_drops_labels():
    config = MaskGITConfig(width=16, depth=1, heads=2, vocabulary=8, tokens=64, classes=10)
    network = Recorder(config, lambda tokens, labels: torch.zeros(*tokens.shape, 8))
    codes = torch.randint(0, 8, (4000, 64), dtype=torch.int16)
    task = MaskGITTask(network, codes, {"labels": torch.full((4000,), 3)}, ClassLabels(count=10))
    loss = task.loss(torch.arange(4000), keyed_generator(0))
    assert loss.item() == pytest.approx(np.log(8))
    tokens, labels = network.seen[0]
    masked = tokens == 8
    assert torch.equal(tokens[~masked], codes.long()[~masked])
    assert masked.sum(dim=1).min() >= 1
    # The mean of cos over a uniform quarter turn is 2 / pi.
    assert masked.float().mean().item() == pytest.approx(2 / np.pi, abs=0.02)
    assert (labels == 10).float().mean().item() == pytest.approx(CONDITION_DROPOUT, abs=0.02)
    assert set(labels.tolist()) == {3, 10}


@pytest.mark.parametrize("process", ["vp", "linear"])
def test_diffusion_targets_invert_the_process(process):
    """A network that knows the data and the process has no loss."""
    latents = torch.randn(50, 4, 8, 8)

    def oracle(x, t, labels):
        t = t[:, None, None, None]
        if process == "linear":
            return (latents - x) / (1 - t)
        alpha = torch.exp(-(t**2) * 19.9 / 4 - 0.05 * t)
        return (x - alpha * latents) / (1 - alpha**2).sqrt()

    config = DiTConfig(width=16, depth=1, heads=2, patch=2, size=8, classes=10, process=process)
    rows = {"labels": torch.zeros(50, dtype=torch.int64)}
    task = DiffusionTask(Recorder(config, oracle), latents, rows, ClassLabels(count=10))
    assert task.loss(torch.arange(50), keyed_generator(0)).item() < 1e-3


@torch.no_grad()
def test_the_codebook_follows_its_columns_and_dead_codes_restart():
    model = VQGAN(replace(tiny_recipe("maskgit").decoder, vocabulary=4))
    trainable = TrainableVQ(model)
    centres = torch.tensor([[5.0, 0, 0, 0], [0, 5.0, 0, 0]])
    columns = centres.repeat(50, 1)
    for step in range(50):
        distance = torch.cdist(columns, model.quantize.embedding.weight)
        trainable.follow(columns, distance.argmin(dim=1), keyed_generator(step))
    distance = torch.cdist(centres, model.quantize.embedding.weight).min(dim=1).values
    assert distance.max() < 1e-4


@torch.no_grad()
def test_codes_outlive_batches_that_are_smaller_than_their_number():
    model = VQGAN(replace(tiny_recipe("maskgit").decoder, vocabulary=64))
    trainable = TrainableVQ(model)
    centres = torch.eye(4).repeat(8, 1) * torch.arange(1, 33)[:, None]
    for step in range(400):
        columns = centres[step % 8 :: 8]
        distance = torch.cdist(columns, model.quantize.embedding.weight)
        trainable.follow(columns, distance.argmin(dim=1), keyed_generator(step))
    distance = torch.cdist(centres, model.quantize.embedding.weight).min(dim=1).values
    assert distance.mean() < 4  # of 16, the mean length; 13 where every code restarts at once


def test_the_codebook_is_not_trained_by_gradients():
    _, decoder, _ = pair("maskgit")
    task = VQTask(decoder, torch.randint(0, 255, (4, 1, 32, 32), dtype=torch.uint8), 0.0, 1.0)
    task.loss(torch.arange(4), keyed_generator(0)).backward()
    assert decoder.quantize.embedding.weight.grad is None
    assert decoder.encoder.conv_in.weight.grad.abs().sum() > 0


@torch.no_grad()
def test_calibration_gives_unit_variance_and_keeps_the_round_trip():
    _, decoder, _ = pair("dit")
    images = torch.rand(8, 1, 32, 32)
    before = decoder.decode(decoder.encode(images))
    calibrate(decoder, images)
    assert decoder.encode(images).std().item() == pytest.approx(1.0, rel=1e-4)
    torch.testing.assert_close(decoder.decode(decoder.encode(images)), before, atol=1e-4, rtol=1e-3)


@torch.no_grad()
def test_images_encode_in_batches_to_the_same_codes():
    _, decoder, _ = pair("maskgit")
    pixels = pictures(300).pixels
    codes = torch.cat(list(encode(decoder.eval(), pixels, (0.0, 1.0))))
    alone = decoder.encode(pixels[299:] / 255.0)
    assert codes.shape == (300, 64)
    assert torch.equal(codes[299:], alone)


def test_the_time_limit_covers_the_encoding_which_goes_on_where_it_was(tmp_path):
    network, decoder, manifest = pair("maskgit")
    data, loop = pictures(600), LoopConfig(steps=1, batch_size=8)
    arguments = (network, decoder, data, manifest)
    with pytest.raises(TrainingError, match=r"250 of 600 images were encoded; .*--resume goes on"):
        train_backbone(*arguments, Stage(loop, tmp_path, max_minutes=0), B)
    assert not (tmp_path / "b.safetensors").exists()
    train_backbone(*arguments, Stage(loop, tmp_path, resume=True), B)
    codes = load_state(tmp_path / CODES)["codes"].long()
    assert torch.equal(codes, torch.cat(list(encode(decoder, data.pixels, (-1.0, 1.0)))))
    stage = Stage(loop, tmp_path, resume=True)
    for others in (data.pixels[:40], data.pixels.flip(0)):
        with pytest.raises(InputError, match=f"--data: got '{len(others)} other images', expected"):
            train_decoder(decoder, others, manifest.image, stage, "d.safetensors")


def test_training_has_the_time_that_encoding_left(tmp_path, monkeypatch):
    """Two batches take 40 seconds each, of a limit of a minute and a half."""
    network, decoder, manifest = pair("maskgit")
    now, left = [0.0], []
    monkeypatch.setattr(stopping.time, "monotonic", lambda: now[0])
    encoded = decoder.encode

    def slow(images):
        now[0] += 40
        return encoded(images)

    monkeypatch.setattr(decoder, "encode", slow)
    monkeypatch.setattr(Trainer, "run", lambda self, limit: left.append(limit) or self.average)
    stage = Stage(LoopConfig(steps=1, batch_size=8), tmp_path, max_minutes=1.5)
    train_backbone(network, decoder, pictures(400), manifest, stage, B)
    assert left == [pytest.approx(10 / 60)]
