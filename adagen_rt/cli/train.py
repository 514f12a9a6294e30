"""`adagen-rt train`: demo generators from a recipe, and policies for them."""

from __future__ import annotations

from pathlib import Path

import click

from adagen_rt.cli.support.run_folder import RECORDS, RunFolder
from adagen_rt.cli.support.training_options import (
    again_options,
    data_option,
    machine_options,
    out_option,
    prepare_torch,
)
from adagen_rt.cli.train_agreement import agreement
from adagen_rt.cli.train_generator import generator
from adagen_rt.cli.train_policy import policy
from adagen_rt.cli.train_schedule import schedule


@click.group()
def train() -> None:
    """Train the networks of a demo model, or a schedule for a generator."""


train.add_command(agreement)
train.add_command(generator)
train.add_command(policy)
train.add_command(schedule)


@train.command()
@data_option
@out_option
@click.option(
    "--role",
    type=click.Choice(["classifier", "examiner"]),
    default="classifier",
    show_default=True,
    help="What it is for: rewards and tokenizers, or the scores that they must not see.",
)
@click.option("--steps", type=click.IntRange(min=1), default=3000, show_default=True)
@again_options
@machine_options
def classifier(
    data: Path,
    folder: Path,
    role: str,
    steps: int,
    resume: bool,
    overwrite: bool,
    threads: int | None,
    device: str,
) -> None:
    """Train a network that judges generated images."""
    prepare_torch(threads, device)
    import torch

    from adagen_rt.evaluation.data import load_fashion_mnist
    from adagen_rt.evaluation.examiner import Examiner
    from adagen_rt.models.classifier import Classifier
    from adagen_rt.training.demo.classifier import ClassifierTask, train_classifier

    run = RunFolder(folder, (f"{role}.safetensors", *RECORDS), resume, overwrite)
    torch.manual_seed(0)
    network = Classifier() if role == "classifier" else Examiner()
    task = ClassifierTask(network, load_fashion_mnist(data, "train"), device)
    test = load_fashion_mnist(data, "test")
    run.clear()
    accuracy = train_classifier(task, test, folder / f"{role}.safetensors", steps, resume)
    click.echo(f"test accuracy {accuracy:.4f}")
