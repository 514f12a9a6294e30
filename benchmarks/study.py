"""What refinement, best-of and the fidelity control do to images, and what they cost.

Regime: as many images of every class a line and seed, seeds that no training used; judged by the
examiner, which no reward looks through; distances are to the 60,000 training images. Cost is
backbone rows relative to the policy alone.

    python benchmarks/study.py --data DIR --refine --fidelity --keep rows.jsonl --plot FOLDER
    python benchmarks/study.py --data DIR --refine --runs RUNS --device cuda --keep rows.jsonl

The second form runs the same networks in PyTorch: RUNS/NAME holds what `adagen-rt train policy`
left, and RUNS/NAME-fidelity the training of the fidelity policy. Finished rows are kept in --keep,
and a rerun skips them; what is printed then covers all of them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from kept import keep_row, read_rows
from study_plots import save_plots
from study_sources import Choice, EngineSource, NetworkSource, Source
from timing import conditions, print_report

from adagen_rt.errors import AdagenError, InputError
from adagen_rt.training.data import load_fashion_mnist
from adagen_rt.training.evaluation import Judge, to_unit
from adagen_rt.training.examiner import load_examiner
from adagen_rt.training.grid import save_grid
from adagen_rt.training.sources import draw_requests

ENGINES = ("fashion-maskgit", "fashion-dit", "fashion-sit", "fashion-var")
SCORES = ("fid", "kid", "precision", "recall", "accuracy")
HEADER = ("study", "engine", "kind", "value", "seeds", "images", "cost", *SCORES)
PLAIN = Choice("policy", 1.0)
STUDIES = {
    "refine": [
        PLAIN,
        *(Choice("refine", count, refine=count) for count in (2, 4)),
        *(Choice("best-of", count, best_of=count) for count in (2, 4, 8)),
    ],
    "fidelity": [
        *(Choice("fidelity", share, fidelity=share) for share in (0.0, 0.25, 0.5, 0.75, 1.0)),
        *(Choice("static guidance", g, guidance=g) for g in (1.0, 1.5, 2.0, 3.0, 4.0)),
    ],
}
GRID_ROWS = 8
Row = dict[str, Any]


def main() -> int:
    """Scores everything that was asked for and prints the report."""
    options = _options()
    torch.set_num_threads(options.threads)
    asked = [name for name in STUDIES if getattr(options, name)] or list(STUDIES)
    try:
        judge = Judge(load_examiner(), load_fashion_mnist(options.data, "train"), options.device)
        rows = []
        for engine in options.engines:
            source = _source(engine, options)
            for study in asked:
                rows += _study_rows(study, source, judge, options)
            if options.plot and "fidelity" in asked:
                _save_pictures(source, options.plot)
    except AdagenError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    averages = _averages(rows)
    if options.plot:
        save_plots(averages, options.plot)
    facts = conditions(options.threads) | {"images made by": _maker(options)}
    facts |= {"refinement std": options.std or "the engines' own", "judge": judge.describe()}
    print_report("study", HEADER, [[row[key] for key in HEADER] for row in averages], facts)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure refinement, best-of and fidelity.")
    parser.add_argument("--data", required=True, help="folder of the Fashion-MNIST files")
    parser.add_argument("--refine", action="store_true", help="FID against cost")
    parser.add_argument("--fidelity", action="store_true", help="precision against recall")
    parser.add_argument("--engines", nargs="+", default=ENGINES, help="names or folders")
    parser.add_argument("--runs", type=Path, help="make images with the networks in RUNS/NAME")
    parser.add_argument("--device", default="cpu", help="where PyTorch computes")
    parser.add_argument("--count", type=int, default=5000, help="images a line and seed")
    parser.add_argument("--seeds", type=_numbers, default=[0, 1], help="such as 0,1")
    parser.add_argument("--std", type=float, help="of the candidates; default: the engine's")
    parser.add_argument("--batch-size", type=int, default=50)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="JSON lines of finished rows")
    parser.add_argument("--plot", type=Path, help="folder for plots and pictures")
    options = parser.parse_args()
    if options.count < 2:
        parser.error("--count: two images at least have a distance")
    return options


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _maker(options: argparse.Namespace) -> str:
    return f"PyTorch on {options.device}" if options.runs else "engines on the CPU"


def _source(name: str, options: argparse.Namespace) -> Source:
    if options.runs is None:
        return EngineSource(name, options.threads, options.batch_size, options.std)
    folder = options.runs / Path(name).name
    if not folder.is_dir():
        raise InputError("--runs", str(folder), "the folder of a policy training")
    return NetworkSource(folder, options.device, options.batch_size, options.std)


def _study_rows(study: str, source: Source, judge: Judge, options: argparse.Namespace) -> list[Row]:
    """One row a choice and seed."""
    done, rows = read_rows(options.keep), []
    for choice in STUDIES[study]:
        for seed in options.seeds:
            key = {"study": study, "engine": source.manifest.name, "kind": choice.kind}
            key |= {"value": choice.value, "seed": seed, "count": options.count}
            key |= {"std": source.manifest.refinement_std, "maker": _maker(options)}
            found = next((row for row in done if key.items() <= row.items()), None)
            if found is None:
                found = key | _measure(source, judge, choice, options.count, seed)
                keep_row(options.keep, found)
                print(json.dumps(found), file=sys.stderr)
            rows.append(found)
    return rows


def _measure(source: Source, judge: Judge, choice: Choice, count: int, seed: int) -> Row:
    labels, seeds = draw_requests(count, source.manifest.class_count, seed)
    result = source.make(choice, labels, seeds)
    score = asdict(judge.score(to_unit(result.images), labels.numpy()))
    facts = {"rows": result.timings.backbone_rows / count, "failures": len(result.failures)}
    return {name: score[name] for name in SCORES} | facts


def _averages(rows: list[Row]) -> list[Row]:
    """Rows averaged over their seeds, with the cost relative to the policy alone."""
    groups = defaultdict(list)
    for row in rows:
        groups[row["study"], row["engine"], row["kind"], row["value"]].append(row)
    averages, plain = [], {}
    for (study, engine, kind, value), group in groups.items():
        cost = mean(row["rows"] for row in group)
        # The first line of either study is the policy alone.
        relative = cost / plain.setdefault((study, engine), cost)
        line = {"study": study, "engine": engine, "kind": kind, "value": value, "cost": relative}
        line |= {"seeds": len(group), "images": group[0]["count"]}
        averages.append(line | {name: mean(row[name] for row in group) for name in SCORES})
    return averages


def _save_pictures(source: Source, folder: Path) -> None:
    """The same samples, a column a class, at both ends of fidelity."""
    classes = min(source.manifest.class_count, 10)
    seeds = torch.arange(classes * GRID_ROWS)
    for share in (0.0, 1.0):
        result = source.make(Choice("fidelity", share, fidelity=share), seeds % classes, seeds)
        path = folder / f"{source.manifest.name}-fidelity-{share:g}.png"
        save_grid(to_unit(result.images), path, columns=classes)


if __name__ == "__main__":
    sys.exit(main())
