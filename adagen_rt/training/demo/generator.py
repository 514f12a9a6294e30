"""The two stages of training a demo model: its tokenizer, then its backbone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from adagen_rt.condition import class_rows
from adagen_rt.engine.manifest import Manifest
from adagen_rt.errors import InputError
from adagen_rt.evaluation.data import Images
from adagen_rt.models.checkpoint import load_state, load_strict
from adagen_rt.models.classifier import load_classifier
from adagen_rt.models.task import GeneratorTask, Rows
from adagen_rt.training.checkpoint import save_weights
from adagen_rt.training.demo.loop import LoopConfig, Trainer
from adagen_rt.training.demo.tokenizers import TASKS, ImageTask, to_range
from adagen_rt.training.policy.environment import Environment

CODES = "codes.safetensors"
ENCODE_BATCH = 250


@dataclass(frozen=True)
class Stage:
    """Settings of one stage of a training run.

    Attributes:
        loop: Settings of the training loop.
        folder: The run's folder, which both stages share.
        resume: Whether to continue an earlier run.
        max_minutes: Time limit, in minutes, before the last step.
        device: PyTorch's name of the device to train on.
    """

    loop: LoopConfig
    folder: Path
    resume: bool = False
    max_minutes: float | None = None
    device: str = "cpu"


def train_tokenizer(
    model: nn.Module, images: Images, pixel_range: tuple[float, float], stage: Stage, file: str
) -> None:
    """Train an autoencoder and write its averaged weights to `file` in the run's folder."""
    pixels = _pixels(images).to(stage.device)
    task = _tokenizer_task(model.to(stage.device), pixels, pixel_range)
    trainer = Trainer(task, stage.loop, stage.folder / "tokenizer", stage.resume)
    autoencoder = task.finish(trainer.run(stage.max_minutes))
    save_weights(autoencoder.state_dict(), stage.folder / file)
    # Codes of an earlier tokenizer are invalid for this one.
    (stage.folder / CODES).unlink(missing_ok=True)


def train_backbone(
    network: nn.Module,
    autoencoder: nn.Module,
    images: Images,
    manifest: Manifest,
    stage: Stage,
    file: str,
) -> None:
    """Train a generator on encoded images and write its averaged weights to `file`."""
    autoencoder.eval().requires_grad_(False).to(stage.device)
    pixel_range = manifest.image.pixel_range
    codes = _encode_once(autoencoder, images, pixel_range, stage.folder / CODES)
    rows = class_rows(torch.from_numpy(images.classes).to(stage.device))
    examples = codes.to(stage.device), rows
    task = _generator_task(network.to(stage.device), autoencoder, *examples, manifest)
    trainer = Trainer(task, stage.loop, stage.folder / "backbone", stage.resume)
    save_weights(trainer.run(stage.max_minutes).state_dict(), stage.folder / file)


def load_autoencoder(model: nn.Module, path: Path) -> nn.Module:
    """Fill an autoencoder with the weights that `train_tokenizer` wrote."""
    if not path.is_file():
        raise InputError("--stage", "backbone", f"a trained tokenizer at {path}")
    load_strict(model, load_state(path))
    return model


def _tokenizer_task(
    model: nn.Module, pixels: Tensor, pixel_range: tuple[float, float]
) -> ImageTask:
    features = load_classifier().requires_grad_(False).to(pixels.device).maps
    return TASKS[type(model)](model, pixels, *pixel_range, features)


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
    autoencoder: nn.Module, images: Images, pixel_range: tuple[float, float], path: Path
) -> Tensor:
    """Give the codes of all images, from the file of an earlier run if it is there."""
    if path.is_file():
        return load_state(path)["codes"]
    codes = encode_all(autoencoder, images, pixel_range)
    if not codes.is_floating_point():
        codes = codes.to(torch.int16)
    save_weights({"codes": codes}, path)
    return codes


@torch.no_grad()
def encode_all(autoencoder: Any, images: Images, pixel_range: tuple[float, float]) -> Tensor:
    """Encode all images to codes or latents."""
    batches = _pixels(images).split(ENCODE_BATCH)
    where = next(autoencoder.parameters()).device
    progress = tqdm(batches, desc="encode", mininterval=5.0)
    return torch.cat(
        [autoencoder.encode(to_range(b.to(where), *pixel_range)) for b in progress]
    ).cpu()


def _pixels(images: Images) -> Tensor:
    return torch.from_numpy(images.pixels)[:, None]
