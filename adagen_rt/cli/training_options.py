"""Options that every training command has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

data_option = click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder of the Fashion-MNIST IDX files, gzipped or not.",
)
_recipe_option = click.option(
    "--engine-recipe",
    "recipe_file",
    required=True,
    type=click.Path(path_type=Path),
    help="The generator's recipe.",
)
_weights_option = click.option(
    "--weights",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder with the generator's weight files.",
)


def recipe_options(command: F) -> F:
    """`--engine-recipe` and `--weights`: a trained generator."""
    return _recipe_option(_weights_option(command))


out_option = click.option(
    "--out",
    "folder",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder of the run: checkpoints, logs, sample grids and the trained weights.",
)
resume_option = click.option(
    "--resume", is_flag=True, help="Continue from the checkpoints in --out."
)
minutes_option = click.option(
    "--minutes", type=click.FloatRange(min=0), help="Stop after so long; of several stages, each."
)
device_option = click.option(
    "--device", default="cpu", show_default=True, help="PyTorch's name of a device, such as cuda."
)
threads_option = click.option("--threads", type=click.IntRange(min=1), help="CPU threads.")
