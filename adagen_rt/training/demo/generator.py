"""The stages of training a demo model: its tokenizer, the decoder further, then the backbone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from adagen_rt.condition import ConditionSpec, Prompts
from adagen_rt.engine.manifest import Manifest
from adagen_rt.engine.sections import ImageSpec
from adagen_rt.errors import InputError, TrainingError
from adagen_rt.evaluation.kept import fingerprint_pixels
from adagen_rt.models.checkpoint import load_state, load_strict
from adagen_rt.models.classifier import load_classifier
from adagen_rt.models.known_images import are_known
from adagen_rt.models.task import GeneratorTask, Rows
from adagen_rt.progress import bar
from adagen_rt.training.checkpoint import save_weights
from adagen_rt.training.demo.decoders import DecoderTask
from adagen_rt.training.demo.examples import Examples
from adagen_rt.training.demo.loop import Trainer
from adagen_rt.training.demo.prompts import Prompted, read_prompts
from adagen_rt.training.demo.settings import LoopConfig, TokenizerConfig
from adagen_rt.training.demo.tokenizers import TASKS, KLTask, to_range
from adagen_rt.training.policy.environment import Environment
from adagen_rt.training.stopping import Deadline, stopping

CODES = "codes.safetensors"
#: What a text encoder gives a backbone.
TOLD = ("context",)
ENCODE_BATCH = 250


@dataclass(frozen=True)
class Stage:
    """Settings of one stage of a training run.

    Attributes:
        loop: Settings of the training loop.
        folder: The run's folder, which all stages share.
        resume: Whether to continue an earlier run.
        max_minutes: Time limit in minutes, of everything before the last step.
        device: PyTorch's name of the device to train on.
    """

    loop: LoopConfig
    folder: Path
    resume: bool = False
    max_minutes: float | None = None
    device: str = "cpu"


def train_tokenizer(
    model: nn.Module, pixels: Tensor, image: ImageSpec, stage: Stage, file: str
) -> None:
    """Train an autoencoder on images (N, c, H, W) uint8.

    Its averaged weights are written to `file` in the run's folder.
    """
    deadline = Deadline(stage.max_minutes)
    model = _placed(model, stage.device)
    task = TASKS[type(model)](model, *_seen(pixels.to(stage.device), image))
    if isinstance(task, KLTask) and isinstance(stage.loop, TokenizerConfig):
        task.divergence = stage.loop.divergence
    trainer = Trainer(task, stage.loop, stage.folder / "tokenizer", stage.resume)
    autoencoder = task.finish(trainer.run(deadline.minutes_left))
    save_weights(autoencoder.state_dict(), stage.folder / file)
    # Codes of an earlier tokenizer are invalid for this one.
    (stage.folder / CODES).unlink(missing_ok=True)


def train_decoder(
    model: nn.Module, pixels: Tensor, image: ImageSpec, stage: Stage, file: str
) -> None:
    """Train a tokenizer's decoder on, from what its encoder makes of images (N, c, H, W) uint8.

    A generator that was trained on these codes stays right. The averaged weights are written to
    `file` in the run's folder.

    Raises:
        TrainingError: The time was over before all images were encoded; what was is kept.
    """
    deadline = Deadline(stage.max_minutes)
    model = _placed(model.eval(), stage.device)
    codes = _encode_once(model, pixels, image.pixel_range, stage.folder / CODES, deadline)
    task = DecoderTask(model, codes.to(stage.device), *_seen(pixels.to(stage.device), image))
    trainer = Trainer(task, stage.loop, stage.folder / "decoder", stage.resume)
    save_weights(trainer.run(deadline.minutes_left).state_dict(), stage.folder / file)


def train_backbone(
    network: nn.Module,
    autoencoder: nn.Module,
    examples: Examples,
    manifest: Manifest,
    stage: Stage,
    files: Mapping[str, str],
) -> None:
    """Train a generator on encoded images and write its averaged weights.

    Args:
        network: The generator; `Prompted` of prompts.
        autoencoder: Encodes the images.
        examples: The images, and what they show.
        manifest: What the generator is.
        stage: Settings.
        files: Names of the weight files to write into the run's folder: `backbone`, and `text`
            of prompts.

    Raises:
        InputError: The images have classes and the generator takes prompts, or conversely.
        TrainingError: The time was over before all images were encoded; what was is kept.
    """
    deadline = Deadline(stage.max_minutes)
    given = _conditions(examples, manifest.condition)
    autoencoder = _placed(autoencoder.eval().requires_grad_(False), stage.device)
    pixel_range = manifest.image.pixel_range
    codes = _encode_once(autoencoder, examples.pixels, pixel_range, stage.folder / CODES, deadline)
    rows = {name: values.to(stage.device) for name, values in given.items()}
    encoded = codes.to(stage.device), rows
    task = _generator_task(network.to(stage.device), autoencoder, *encoded, manifest)
    trainer = Trainer(task, stage.loop, stage.folder / "backbone", stage.resume)
    trained = trainer.run(deadline.minutes_left)
    parts = {"backbone": trained}
    if isinstance(trained, Prompted):
        parts = {"backbone": trained.backbone, "text": trained.text}
    for name, part in parts.items():
        save_weights(part.state_dict(), stage.folder / files[name])


def check_conditions(examples: Examples, condition: ConditionSpec) -> None:
    """Refuse images that do not say what a generator is told.

    Raises:
        InputError: They have classes and the generator takes prompts, or conversely.
    """
    if isinstance(condition, Prompts):
        if not examples.captions:
            raise InputError("--data", "pictures without captions", "captions, for prompts")
    elif examples.rows is None:
        raise InputError("--data", "captioned pictures", "pictures in a folder for each class")


def _conditions(examples: Examples, condition: ConditionSpec) -> Rows:
    check_conditions(examples, condition)
    if isinstance(condition, Prompts):
        return read_prompts(condition, examples.captions)
    assert examples.rows is not None  # as was checked
    return examples.rows


def load_autoencoder(model: nn.Module, path: Path) -> nn.Module:
    """Fill an autoencoder with the weights that `train_tokenizer` wrote."""
    if not path.is_file():
        raise InputError("--out", str(path.parent), f"a trained tokenizer there, {path.name}")
    load_strict(model, load_state(path))
    return model


def _placed(autoencoder: nn.Module, device: str) -> nn.Module:
    """Move convolutions to a device, with a place's channels together.

    In bfloat16 a processor then takes half of the time.
    """
    return autoencoder.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _seen(pixels: Tensor, image: ImageSpec) -> tuple[Any, ...]:
    """Give what a tokenizer's task sees: images, black, white, and maps of their features."""
    features = None
    if are_known(image):
        features = load_classifier().requires_grad_(False).to(pixels.device).maps
    return pixels, *image.pixel_range, features


def _generator_task(
    network: nn.Module,
    autoencoder: nn.Module,
    codes: Tensor,
    rows: Rows,
    manifest: Manifest,
) -> GeneratorTask:
    def preview(average: nn.Module) -> Tensor:
        backbone, text = average, None
        if isinstance(average, Prompted):
            backbone, text = average.backbone, (average.text, TOLD)
        where = str(codes.device)
        return Environment.of_networks(
            manifest, backbone, autoencoder, where, text=text
        ).preview_images()

    model = manifest.plugin.model()
    return model.task(network, autoencoder, codes, rows, manifest.condition, preview)


def _encode_once(
    autoencoder: nn.Module,
    pixels: Tensor,
    pixel_range: tuple[float, float],
    path: Path,
    deadline: Deadline,
) -> Tensor:
    """Give the codes of all images, of which a file of an earlier run may have some or all.

    A file that has codes of other images is refused; it says of which it has them.
    """
    images = _digest(pixels)
    kept = load_state(path) if path.is_file() else {}
    done = [kept["codes"]] if kept else []
    begin = sum(map(len, done))
    if begin > len(pixels) or not images.equal(kept.get("images", images)):
        expected = f"those whose codes {path} has; remove it to encode others"
        raise InputError("--data", f"{len(pixels)} other images", expected)
    if begin == len(pixels):
        return done[0]
    with stopping() as stop:
        for part in encode(autoencoder, pixels, pixel_range, begin):
            done.append(part if part.is_floating_point() else part.to(torch.int16))
            if deadline.over or stop:
                break
        codes = torch.cat(done)
        save_weights({"codes": codes, "images": images}, path)
    if len(codes) < len(pixels):
        raise TrainingError(
            f"the time was over when {len(codes)} of {len(pixels)} images were encoded; "
            f"{path} has them, and --resume goes on"
        )
    return codes


def _digest(pixels: Tensor) -> Tensor:
    """Hash bytes of images, as a tensor that is kept beside their codes."""
    return torch.tensor(list(fingerprint_pixels(pixels.numpy()).encode()), dtype=torch.uint8)


@torch.no_grad()
def encode(
    autoencoder: Any, pixels: Tensor, pixel_range: tuple[float, float], begin: int = 0
) -> Iterator[Tensor]:
    """Encode images (N, c, H, W) uint8 to codes or latents, batch by batch.

    Args:
        autoencoder: What encodes them.
        pixels: The images.
        pixel_range: Its values of black and of white.
        begin: How many of them are encoded already.
    """
    where = next(autoencoder.parameters()).device
    with bar(total=len(pixels), initial=begin, desc="encode", unit="image") as progress:
        for batch in pixels[begin:].split(ENCODE_BATCH):
            yield autoencoder.encode(to_range(batch.to(where), *pixel_range)).cpu()
            progress.update(len(batch))
