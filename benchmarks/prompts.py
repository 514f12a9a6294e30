"""What an engine of prompts makes of captions that it has not been trained on.

    python benchmarks/prompts.py engines/emoji-sit --data DATA/held-out-pairs \
        --train DATA --agreement RUNS/agreement --out docs/images

Regime: each caption of --data once, with its number as the seed, under the engine's own schedule;
judged in the features of EfficientNet-Lite0, which nobody here trained. Three pictures:

    ENGINE-prompts.png   64 evenly spread captions, unpicked
    ENGINE-worst.png     the 32 pictures that agree least with their captions
    ENGINE-nearest.png   the 16 pictures that are nearest to one of the training set, beside it

and, printed, how often a caption is found among a hundred, and how many pictures are copies: nearer
to a training picture than a hundredth of the real pictures of --data are.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
import numpy.typing as npt
import torch
from timing import conditions, print_report

from adagen_rt.errors import AdagenError
from adagen_rt.evaluation.images import make_images
from adagen_rt.files import replace_file
from adagen_rt.pipeline.load import load
from adagen_rt.sampling.captions import WHITE, with_captions
from adagen_rt.sampling.params import SamplingParams
from adagen_rt.sampling.pictures import join_grid, to_picture
from adagen_rt.sampling.request import make_request
from adagen_rt.sampling.result import Images

if TYPE_CHECKING:
    from adagen_rt.data.captioned import Captioned
    from adagen_rt.evaluation.judge import Judge
    from adagen_rt.sampling.result import Result

#: Pictures of each sheet, and of a row.
SHOWN, WORST, NEAREST, COLUMNS = 64, 32, 16, 8
#: Share of the real pictures that would count as copies.
COPIES = 0.01
COLUMN_NAMES = ("engine", "schedule", "pictures", "found", "real ones found", "copies")

Features = npt.NDArray[np.float32]


def nearest(features: Features, known: Features, block: int = 256) -> tuple[Features, Features]:
    """Find the nearest of known features (M, D) for each of features (N, D).

    Returns:
        Distances (N,), and numbers of the known ones (N,).
    """
    squares = np.square(known).sum(axis=1)
    places, distances = [], []
    for first in range(0, len(features), block):
        part = features[first : first + block]
        gaps = squares - 2 * part @ known.T
        places.append(gaps.argmin(axis=1))
        own = np.square(part).sum(axis=1)
        distances.append(np.sqrt(np.maximum(gaps.min(axis=1) + own, 0)))
    return np.concatenate(distances), np.concatenate(places)


def save_sheet(path: Path, images: Images, words: Sequence[Sequence[str]]) -> None:
    """Write captioned images as a PNG."""
    picture = to_picture(join_grid(with_captions(images, words), COLUMNS, WHITE))
    replace_file(path, lambda temporary: picture.save(temporary, format="png", optimize=True))


def words_of(caption: str, second: str) -> tuple[str, str, str]:
    """Say in three short lines what a picture was asked to be."""
    style, _, subject = caption.partition(" style: ")
    return (subject or style, f"({style})" if subject else "", second)


def save_sheets(
    name: str, out: Path, result: Result, agreed: Features, train: Captioned, judge: Judge
) -> npt.NDArray[np.float32]:
    """Write the three sheets, and return each picture's distance to the training set."""
    prompts, images = result.prompts, result.images
    seeds = [f"seed {seed}" for seed in result.seeds.tolist()]
    spread = [i * len(images) // SHOWN for i in range(min(SHOWN, len(images)))]
    worst = np.argsort(agreed)[:WORST].tolist()
    for places, end in ((spread, "prompts"), (worst, "worst")):
        words = [words_of(prompts[place], seeds[place]) for place in places]
        save_sheet(out / f"{name}-{end}.png", images[places], words)
    distances, known = nearest(judge.look(result).features, judge.features)
    pairs, words = [], []
    for place in np.argsort(distances)[:NEAREST].tolist():
        real = train.pixels[torch.tensor([known[place]])].permute(0, 2, 3, 1).numpy()[0]
        pairs += [images[place], real]
        own = words_of(prompts[place], seeds[place])
        words += [own, words_of(train.captions[known[place]], "of the training set")]
    save_sheet(out / f"{name}-nearest.png", np.stack(pairs), words)
    return distances


@click.command()
@click.argument("engine")
@click.option("--data", required=True, type=click.Path(path_type=Path), help="Captioned set.")
@click.option("--train", required=True, type=click.Path(path_type=Path), help="The training set.")
@click.option("--agreement", required=True, type=click.Path(path_type=Path), help="The judge.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Pictures' folder.")
@click.option("--schedule", default=None, help="Default: the engine's own.")
@click.option("--batch-size", default=16, show_default=True)
@click.option("--threads", type=int, default=2, show_default=True)
def main(
    engine: str,
    data: Path,
    train: Path,
    agreement: Path,
    out: Path,
    schedule: str | None,
    batch_size: int,
    threads: int,
) -> None:
    """Draw the sheets, and count."""
    from adagen_rt.data.captioned import load_captioned
    from adagen_rt.evaluation.agreement import load_agreement
    from adagen_rt.evaluation.features import EFFICIENTNET, load_features
    from adagen_rt.evaluation.judge import Judge

    try:
        pipeline = load(engine, threads=threads)
        image = pipeline.manifest.image
        asked, known = (load_captioned(path, image.size) for path in (data, train))
        texts, network = load_agreement(agreement), load_features(Path(EFFICIENTNET))
    except AdagenError as error:
        raise click.UsageError(str(error)) from error
    judge, real = Judge(network, known.pixels), Judge(network, asked.pixels)
    params = SamplingParams(schedule=schedule) if schedule else SamplingParams()
    request = make_request(pipeline.manifest, asked.captions, range(len(asked.captions)), params)
    result = make_images(pipeline, request, batch_size, "held-out prompts")
    out.mkdir(parents=True, exist_ok=True)
    features, captions = judge.look(result).features, asked.captions
    agreed = texts.agree(features, captions)
    name = pipeline.manifest.name
    distances = save_sheets(name, out, result, agreed, known, judge)
    bound = np.quantile(nearest(real.features, judge.features)[0], COPIES)
    row = (
        name,
        request.params.schedule,
        len(captions),
        texts.accuracy(features, captions, captions),
        texts.accuracy(real.features, captions, captions),
        float((distances < bound).mean()),
    )
    print_report("prompts", COLUMN_NAMES, [row], conditions(threads) | {"judge": judge.describe()})


if __name__ == "__main__":
    main()
