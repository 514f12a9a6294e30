"""`adagen-rt train agreement`: the judge that finds a picture's caption among a hundred."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from adagen_rt.cli.support.run_folder import RECORDS, RunFolder
from adagen_rt.cli.support.training_options import (
    again_options,
    machine_options,
    out_option,
    prepare_torch,
)
from adagen_rt.data import METADATA
from adagen_rt.extent import Extent

if TYPE_CHECKING:
    from adagen_rt.data.captioned import Captioned
    from adagen_rt.evaluation.judge import Judge

#: Pixels that pictures are brought to before features are computed, as the shipped engines' are.
SIZE = Extent(64, 64)


@click.command()
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path),
    help="A captioned set; it learns from train/ where there is one, and is measured on all parts.",
)
@out_option
@click.option(
    "--features",
    type=click.Path(path_type=Path),
    default=Path("efficientnet-lite0"),
    show_default=True,
    help="EfficientNet-Lite0: its file, or the name of the package's (extra judge).",
)
@click.option("--steps", type=click.IntRange(min=1), default=1500, show_default=True)
@again_options
@machine_options
def agreement(
    data: Path,
    folder: Path,
    features: Path,
    steps: int,
    resume: bool,
    overwrite: bool,
    threads: int | None,
    device: str,
) -> None:
    """Train a judge of text agreement, for `evaluate --agreement`.

    Prints how often it finds the caption of a real picture among 100 of the same part.
    """
    prepare_torch(threads, device)
    import torch

    from adagen_rt.data.captioned import load_captioned
    from adagen_rt.evaluation.agreement import TOKENIZER, WEIGHTS, load_agreement, read_texts
    from adagen_rt.models.agreement import WORDS, Agreement
    from adagen_rt.training.demo.agreement import AgreementTask, train_agreement
    from adagen_rt.training.demo.prompts import learn_words

    run = RunFolder(folder, (WEIGHTS, TOKENIZER, *RECORDS), resume, overwrite)
    learnt = load_captioned(data, SIZE)
    seen = torch.from_numpy(_look(learnt, features, device).features)
    run.clear()
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / TOKENIZER).is_file():
        learn_words(learnt.captions, WORDS, folder / TOKENIZER)
    torch.manual_seed(0)
    network = Agreement()
    ids = read_texts(folder, learnt.captions)
    task = AgreementTask(network.to(device), seen.to(device), ids.to(device))
    train_agreement(task, folder / WEIGHTS, steps, resume)
    judge = load_agreement(folder)
    for part in sorted(path.parent for path in data.glob(f"*/{METADATA}")) or [data]:
        held = load_captioned(part, SIZE)
        known = _look(held, features, device).features
        share = judge.accuracy(known, held.captions, held.captions)
        click.echo(f"{part.name}: {share:.3f} of {len(held.captions)} captions found")


def _look(part: Captioned, features: Path, device: str) -> Judge:
    """Compute the features of a part's pictures, or take them from the cache."""
    from adagen_rt.evaluation.features import load_features
    from adagen_rt.evaluation.judge import Judge

    return Judge(load_features(features), part.pixels, device)
