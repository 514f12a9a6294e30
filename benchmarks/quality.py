"""How good generated images are, beside real ones and the tokenizer's limit.

Regime: 2,000 images, 200 a class, seeds 0 to 1,999; judged by the classifier that the package
ships (64 penultimate features); distances are to the 60,000 training images. Held-out images
show what a perfect generator would score, reconstructions what the tokenizer allows.

    python benchmarks/quality.py --data DIR --engine engines/fashion-maskgit \
        --recipe export/fashion-maskgit.yaml --weights RUN_DIR
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from timing import conditions, print_report

import adagen_rt
from adagen_rt.errors import AdagenError
from adagen_rt.training.classifier import load_classifier
from adagen_rt.training.data import CLASS_NAMES, Images, load_fashion_mnist
from adagen_rt.training.evaluation import Judge, Score, read_images, to_unit

HEADER = ("images", "count", "accuracy", "fid", "seconds")
Row = tuple[str, int, float, float, float]


def main() -> int:
    """Scores everything that was asked for and prints the report."""
    options = _options()
    torch.set_num_threads(options.threads)
    try:
        rows = list(_rows(options))
    except AdagenError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    facts = conditions(options.threads) | {"engine": options.engine or "none"}
    print_report("quality", HEADER, rows, facts)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Score generated images.")
    parser.add_argument("--data", required=True, help="folder of the Fashion-MNIST files")
    parser.add_argument("--engine", help="engine to generate with, static and with its policy")
    parser.add_argument("--images", type=Path, help=".npz or folder that `generate` wrote")
    parser.add_argument("--recipe", type=Path, help="recipe of the tokenizer to reconstruct with")
    parser.add_argument("--weights", type=Path, help="folder of that recipe's weights")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--steps", type=int, help="backbone evaluations an image")
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def _rows(options: argparse.Namespace) -> Iterator[Row]:
    judge = Judge(load_classifier(), load_fashion_mnist(options.data, "train"))
    test = load_fashion_mnist(options.data, "test")
    held_out = Images(test.pixels[: options.count], test.labels[: options.count])
    yield _row("real", judge.score(to_unit(held_out.pixels), held_out.labels), 0.0)
    if options.recipe and options.weights:
        started = time.perf_counter()
        images = _reconstruct(options.recipe, options.weights, held_out)
        score = judge.score(images, held_out.labels)
        yield _row("reconstructed", score, time.perf_counter() - started)
    if options.images:
        given = read_images(options.images)
        yield _row(options.images.name, judge.score(to_unit(given.pixels), given.labels), 0.0)
    if options.engine:
        yield from _engine_rows(options, judge)


def _engine_rows(options: argparse.Namespace, judge: Judge) -> Iterator[Row]:
    generator = adagen_rt.load(options.engine, threads=options.threads)
    labels = np.arange(options.count) % len(CLASS_NAMES)
    for static in (True, False) if generator.has_policy else (True,):
        started = time.perf_counter()
        result = generator.generate(
            labels.tolist(), range(options.count), steps=options.steps, static=static, batch_size=50
        )
        seconds = time.perf_counter() - started
        score = judge.score(to_unit(result.images), labels)
        yield _row("static schedule" if static else "policy", score, seconds)


@torch.no_grad()
def _reconstruct(recipe_file: Path, weights: Path, images: Images) -> torch.Tensor:
    """Images after a round trip through a recipe's tokenizer, in [0, 1]."""
    from adagen_rt.export.recipe import load_recipe
    from adagen_rt.training.generator import decode_all, encode_all, load_autoencoder

    recipe = load_recipe(recipe_file)
    model = load_autoencoder(recipe.make_decoder(), weights / recipe.files.decoder).eval()
    decoded = decode_all(model, encode_all(model, images, recipe.pixel_range))
    low, high = recipe.pixel_range
    return ((decoded - low) / (high - low)).clamp(0.0, 1.0)


def _row(name: str, score: Score, seconds: float) -> Row:
    return name, score.count, score.accuracy, score.fid, seconds


if __name__ == "__main__":
    sys.exit(main())
