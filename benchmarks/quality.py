"""How good the engines' schedules are: hand-made, tuned and learnt, at the same and at more steps.

Regime: 5,000 images a schedule and seed, as many of every class, seeds that no training and no
search used; judged by the examiner (96 pooled features), which no reward and no tokenizer looks
through; distances are to the 60,000 training images.

    python benchmarks/quality.py --data DIR                        # the engines, as users run them
    python benchmarks/quality.py --data DIR --runs RUNS --device cuda

The second form runs the same networks in PyTorch: RUNS/NAME holds what `adagen-rt train` left.
Rows are kept in --keep as they come, and a rerun skips those that are there.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from kept import keep_row, read_rows
from timing import conditions, print_report

import adagen_rt
from adagen_rt.cli.evaluate import score_source
from adagen_rt.errors import AdagenError
from adagen_rt.export.description import describe_model
from adagen_rt.export.networks import load_networks
from adagen_rt.export.recipe import load_recipe
from adagen_rt.training.data import load_fashion_mnist
from adagen_rt.training.evaluation import Judge
from adagen_rt.training.examiner import load_examiner
from adagen_rt.training.sources import EngineSource, NetworkSource, Source

ENGINES = ("fashion-maskgit", "fashion-dit", "fashion-sit", "fashion-var")
SCORES = ("fid", "kid", "precision", "recall", "accuracy")
HEADER = ("engine", "schedule", "steps", "seeds", "images", *SCORES)


def main() -> int:
    """Scores everything that was asked for and prints the report."""
    options = _options()
    torch.set_num_threads(options.threads)
    try:
        judge = Judge(load_examiner(), load_fashion_mnist(options.data, "train"), options.device)
        rows = [row for name in options.engines for row in _engine_rows(name, options, judge)]
    except AdagenError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    made_by = f"PyTorch on {options.device}" if options.runs else "engines on the CPU"
    facts = conditions(options.threads) | {"images made by": made_by, "judge": judge.describe()}
    print_report("quality", HEADER, _averages(rows), facts)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Score the schedules of engines.")
    parser.add_argument("--data", required=True, help="folder of the Fashion-MNIST files")
    parser.add_argument("--engines", nargs="+", default=ENGINES, help="names or folders")
    parser.add_argument("--runs", type=Path, help="make images with the networks in RUNS/NAME")
    parser.add_argument("--device", default="cpu", help="where PyTorch computes")
    parser.add_argument("--count", type=int, default=5000, help="images a schedule and seed")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--more", type=int, nargs="*", default=[2, 3], help="multiples of steps")
    parser.add_argument("--batch-size", type=int, default=50)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="JSON lines of finished rows")
    return parser.parse_args()


def _engine_rows(name: str, options: argparse.Namespace, judge: Judge) -> Iterator[dict[str, Any]]:
    """One row a schedule, number of steps and seed."""
    source = _source(name, options)
    own = source.manifest.schedule.steps
    plan = [(schedule, own) for schedule in source.schedules]
    if source.manifest.family.family != "var":
        plan += [("static", own * factor) for factor in options.more]
    done = read_rows(options.keep)
    for schedule, steps in plan:
        for seed in options.seeds:
            key = {"engine": source.manifest.name, "schedule": schedule, "steps": steps}
            key |= {"seed": seed, "count": options.count}
            found = next((row for row in done if key.items() <= row.items()), None)
            if found is None:
                score = score_source(source, judge, schedule, steps, options.count, seed)
                found = key | asdict(score)
                keep_row(options.keep, found)
            yield found


def _source(name: str, options: argparse.Namespace) -> Source:
    if options.runs is None:
        generator = adagen_rt.load(name, threads=options.threads)
        return EngineSource(generator, options.batch_size)
    folder = options.runs / Path(name).name
    recipe = load_recipe(folder / "recipe.yaml")
    networks = load_networks(recipe, folder)
    parts = networks.backbone, networks.decoder, networks.policy
    return NetworkSource(describe_model(recipe), *parts, options.device, options.batch_size)


def _averages(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Rows averaged over their seeds."""
    groups = defaultdict(list)
    for row in rows:
        groups[row["engine"], row["schedule"], row["steps"]].append(row)
    return [
        (*key, len(group), group[0]["count"], *(mean(row[s] for row in group) for s in SCORES))
        for key, group in groups.items()
    ]


if __name__ == "__main__":
    sys.exit(main())
