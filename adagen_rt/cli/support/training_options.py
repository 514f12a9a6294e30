"""Options that every training command has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from adagen_rt.errors import InputError, needs_extra

F = TypeVar("F", bound=Callable[..., Any])

data_option = click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder of the Fashion-MNIST IDX files, gzipped or not.",
)
examples_option = click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder of the Fashion-MNIST IDX files, or with a folder of images for each class; "
    "for the tokenizer also a captioned set.",
)
features_option = click.option(
    "--features",
    type=click.Path(path_type=Path),
    help="Weights of a vision transformer (DINO, timm) to look at images of any size through; "
    "--data is then a folder of class folders, or a captioned set for prompts. Rewards take the "
    "name tokenizer, too: the encoder of the generator's own. Scores take EfficientNet-Lite0: its "
    "file, or the name efficientnet-lite0 (extra judge).",
)
_engine_option = click.option(
    "--engine",
    type=click.Path(path_type=Path),
    help="In the place of the weights: a shipped engine's name, or an engine folder, such as one "
    "of a pipeline; OUT/engine is then a copy of it with the new policy.",
)


def prepare_torch(threads: int | None = None, device: str = "cpu") -> None:
    """Check that PyTorch and the rest of its extra are installed, and set its threads.

    Args:
        threads: CPU threads; None leaves PyTorch's own choice.
        device: PyTorch's name of the device to compute on.

    Raises:
        MissingExtraError: A package is not installed.
        InputError: PyTorch has no such device here.
    """
    with needs_extra("torch"):
        import torch

        import adagen_rt.export.recipe  # noqa: F401
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        there = torch.zeros(1, device=device).cpu().item() == 0
    except (RuntimeError, AssertionError, NotImplementedError):
        there = False  # unknown, not built in, not in this machine, or without memory
    if not there:
        expected = "cpu, or a device that PyTorch finds here, such as cuda or cuda:0"
        raise InputError("--device", device, expected)


def recipe_options(command: F) -> F:
    """Give a command `--engine-recipe` and `--weights`: a trained generator."""
    return _named(command, required=True)


def generator_options(command: F) -> F:
    """Give a command the same or, in the place of the weights, `--engine`."""
    more = "; beside --engine, for the settings of the training"
    return _named(_engine_option(command), required=False, more=more)


def _named(command: F, required: bool, more: str = "") -> F:
    recipe = click.option(
        "--engine-recipe",
        "recipe_file",
        required=required,
        type=click.Path(path_type=Path),
        help=f"The generator's recipe{more}.",
    )
    weights = click.option(
        "--weights",
        required=required,
        type=click.Path(path_type=Path),
        help="Folder with the generator's weight files.",
    )
    return recipe(weights(command))


out_option = click.option(
    "--out",
    "folder",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder of the run: checkpoints, logs, sample grids and the trained weights.",
)
_resume_option = click.option(
    "--resume", is_flag=True, help="Continue from the checkpoints in --out."
)
overwrite_option = click.option(
    "--overwrite", is_flag=True, help="Start anew where --out holds an earlier run, which is lost."
)
minutes_option = click.option(
    "--minutes",
    type=click.FloatRange(min=0),
    help="Stop after so long, encoding included; of several stages, each.",
)
device_option = click.option(
    "--device", default="cpu", show_default=True, help="PyTorch's name of a device, such as cuda."
)
_threads_option = click.option("--threads", type=click.IntRange(min=1), help="CPU threads.")


def again_options(command: F) -> F:
    """Give a command `--resume` and `--overwrite`: what becomes of an earlier run."""
    return _resume_option(overwrite_option(command))


def machine_options(command: F) -> F:
    """Give a command `--threads` and `--device`: what it computes on."""
    return _threads_option(device_option(command))
