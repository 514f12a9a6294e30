"""The two stages of training a demo model: its tokenizer, then its backbone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from adagen_rt.engine.manifest import ImageSpec, Manifest
from adagen_rt.errors import InputError, TrainingError
from adagen_rt.models.checkpoint import load_state, load_strict
from adagen_rt.models.classifier import load_classifier
from adagen_rt.models.known_images import are_known
from adagen_rt.models.task import GeneratorTask, Rows
from adagen_rt.progress import bar
from adagen_rt.training.checkpoint import save_weights
from adagen_rt.training.demo.examples import Examples
from adagen_rt.training.demo.loop import LoopConfig, Trainer
from adagen_rt.training.demo.tokenizers import TASKS, ImageTask, to_range
from adagen_rt.training.policy.environment import Environment
from adagen_rt.training.stopping import Deadline, stopping

CODES = "codes.safetensors"
ENCODE_BATCH = 250


@dataclass(frozen=True)
class Stage:
    """Settings of one stage of a training run.

    Attributes:
        loop: Settings of the training loop.
        folder: The run's folder, which both stages share.
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
    task = _tokenizer_task(model.to(stage.device), pixels.to(stage.device), image)
    trainer = Trainer(task, stage.loop, stage.folder / "tokenizer", stage.resume)
    autoencoder = task.finish(trainer.run(deadline.minutes_left))
    save_weights(autoencoder.state_dict(), stage.folder / file)
    # Codes of an earlier tokenizer are invalid for this one.
    (stage.folder / CODES).unlink(missing_ok=True)


def train_backbone(
    network: nn.Module,
    autoencoder: nn.Module,
    examples: Examples,
    manifest: Manifest,
    stage: Stage,
    file: str,
) -> None:
    """Train a generator on encoded images and write its averaged weights to `file`.

    Raises:
        InputError: The images have captions alone.
        TrainingError: The time was over before all images were encoded; what was is kept.
    """
    deadline = Deadline(stage.max_minutes)
    if examples.rows is None:
        raise InputError("--data", "captioned pictures", "pictures in a folder for each class")
    autoencoder.eval().requires_grad_(False).to(stage.device)
    pixel_range = manifest.image.pixel_range
    codes = _encode_once(autoencoder, examples.pixels, pixel_range, stage.folder / CODES, deadline)
    rows = {name: values.to(stage.device) for name, values in examples.rows.items()}
    encoded = codes.to(stage.device), rows
    task = _generator_task(network.to(stage.device), autoencoder, *encoded, manifest)
    trainer = Trainer(task, stage.loop, stage.folder / "backbone", stage.resume)
    save_weights(trainer.run(deadline.minutes_left).state_dict(), stage.folder / file)


def load_autoencoder(model: nn.Module, path: Path) -> nn.Module:
    """Fill an autoencoder with the weights that `train_tokenizer` wrote."""
    if not path.is_file():
        raise InputError("--stage", "backbone", f"a trained tokenizer at {path}")
    load_strict(model, load_state(path))
    return model


def _tokenizer_task(model: nn.Module, pixels: Tensor, image: ImageSpec) -> ImageTask:
    features = None
    if are_known(image):
        features = load_classifier().requires_grad_(False).to(pixels.device).maps
    return TASKS[type(model)](model, pixels, *image.pixel_range, features)


def _generator_task(
    network: nn.Module,
    autoencoder: nn.Module,
    codes: Tensor,
    rows: Rows,
    manifest: Manifest,
) -> GeneratorTask:
    def preview(average: nn.Module) -> Tensor:
        return Environment(manifest, average, autoencoder, str(codes.device)).preview_images()

    model = manifest.plugin.model()
    return model.task(network, autoencoder, codes, rows, manifest.condition, preview)


def _encode_once(
    autoencoder: nn.Module,
    pixels: Tensor,
    pixel_range: tuple[float, float],
    path: Path,
    deadline: Deadline,
) -> Tensor:
    """Give the codes of all images, of which a file of an earlier run may have some or all."""
    done = [load_state(path)["codes"]] if path.is_file() else []
    begin = sum(map(len, done))
    if begin == len(pixels):
        return done[0]
    with stopping() as stop:
        for part in encode(autoencoder, pixels, pixel_range, begin):
            done.append(part if part.is_floating_point() else part.to(torch.int16))
            if deadline.over or stop:
                break
        codes = torch.cat(done)
        save_weights({"codes": codes}, path)
    if len(codes) < len(pixels):
        raise TrainingError(
            f"the time was over when {len(codes)} of {len(pixels)} images were encoded; "
            f"{path} has them, and --resume goes on"
        )
    return codes


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
