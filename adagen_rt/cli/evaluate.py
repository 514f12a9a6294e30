"""`adagen-rt evaluate`: scores of an engine's images under each of its schedules."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from adagen_rt.backends import Execution
from adagen_rt.cli.support.backend_options import backend_options
from adagen_rt.cli.support.judges import open_judge
from adagen_rt.cli.support.published import PublishedOptions, evaluate_published
from adagen_rt.cli.support.published import page as published_page
from adagen_rt.cli.support.refusing import refuse_options
from adagen_rt.cli.support.sampling_options import sampling_options
from adagen_rt.cli.support.scores import named_score, score_page
from adagen_rt.cli.support.training_options import (
    device_option,
    features_option,
    prepare_torch,
)
from adagen_rt.engine.folder import open_engine
from adagen_rt.errors import InputError, as_integer
from adagen_rt.evaluation.baselines import BASELINES, PairedBootstrap, check_plain, make_baselines
from adagen_rt.evaluation.images import draw_request, make_images
from adagen_rt.pipeline.load import make_pipeline
from adagen_rt.sampling.params import SCHEDULES, SamplingParams, ScheduleName, schedule_names
from adagen_rt.sampling.request import MAX_BATCH, MAX_COUNT

if TYPE_CHECKING:
    from adagen_rt.engine.manifest import Manifest
    from adagen_rt.evaluation.agreement import AgreementJudge
    from adagen_rt.evaluation.judge import Judge, Seen
    from adagen_rt.pipeline.base import Pipeline
    from adagen_rt.sampling.request import Request
    from adagen_rt.sampling.result import Result

#: Smallest number of images; fewer give no useful scores, and precision and recall need neighbours.
MIN_SAMPLES = 10


@click.command()
@click.argument("engine")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Real images: a folder of the Fashion-MNIST IDX files; with --features, of class folders, "
    "or for prompts a captioned set.",
)
@features_option
@click.option(
    "--inception",
    type=click.Path(path_type=Path),
    help="pt_inception-2015-12-05-6726825d.pth, for the scores that papers print: FID, sFID, "
    "Inception score, precision and recall, in the place of all others.",
)
@click.option(
    "--reference",
    type=click.Path(path_type=Path),
    help="With --inception, an .npz: mu and sigma, or a reference batch of ADM's evaluator.",
)
@click.option(
    "--protocol",
    type=click.Choice(("adm", "adagen")),
    default="adm",
    show_default=True,
    help="With --inception: ADM's evaluator's and torch-fidelity's numbers, or AdaGen's own.",
)
@click.option(
    "--out",
    "folder",
    type=click.Path(path_type=Path),
    help="With --inception, a folder that images and features are kept in: the same command goes "
    "on after any end, and samples.npz is what ADM's evaluator reads.",
)
@click.option("--samples", type=int, default=5000, show_default=True, help="Images a schedule.")
@click.option("--seed", type=int, default=0, show_default=True, help="Which images.")
@click.option(
    "--schedule",
    "schedules",
    multiple=True,
    type=click.Choice((*SCHEDULES, *BASELINES)),
    help="Which to score; repeatable. Default: all that the engine has. The last three play the "
    "policy's outputs without the sample in them: their mean, their mean in each class, and those "
    "of another sample of the class.",
)
@click.option(
    "--bootstrap",
    type=click.IntRange(0, 10_000),
    default=0,
    metavar="TIMES",
    help="Draw the images so often anew, for an interval of each distance over the policy's.",
)
@click.option(
    "--agreement",
    type=click.Path(path_type=Path),
    help="What `adagen-rt train agreement` left: how often a picture's prompt is the best of 100. "
    "Wants --features of EfficientNet-Lite0.",
)
@sampling_options("steps", "fidelity", "refine", "best_of", "reuse")
@click.option("--batch-size", type=int, default=50, show_default=True, help="Images made together.")
@backend_options
@device_option
@click.option("--json", "as_json", is_flag=True, help="Print the scores as JSON.")
def evaluate(
    engine: str,
    data: Path | None,
    features: Path | None,
    inception: Path | None,
    reference: Path | None,
    protocol: str,
    folder: Path | None,
    samples: int,
    seed: int,
    schedules: tuple[str, ...],
    bootstrap: int,
    agreement: Path | None,
    params: SamplingParams,
    batch_size: int,
    execution: Execution,
    device: str,
    as_json: bool,
) -> None:
    """Score the images of ENGINE (a folder, or the name of a shipped engine).

    FID and KID are distances to the real images (smaller is better), precision is the
    share of images that look real, recall the share of the real variety that they cover,
    accuracy the share recognised as the class that was asked for. All are measured in the
    features of a network that no reward looks through, on --device; FIDs measured in other
    networks' features are on other scales. An engine of prompts is asked for the captions of
    --data, in turn, and wants --features.
    """
    as_integer("samples", samples, MIN_SAMPLES, MAX_COUNT)
    as_integer("seed", seed, 0, 1_000_000)
    as_integer("batch-size", batch_size, 1, MAX_BATCH)
    if inception is not None:
        others = {"data": data, "features": features, "agreement": agreement}
        refuse_options({**others, "bootstrap": bootstrap or None}, "none with --inception")
        named = replace(params, schedule=_only(schedules))
        made = samples, seed, batch_size, named, execution, device
        given = PublishedOptions(engine, inception, reference, protocol, folder, *made)
        prepare_torch(execution.threads, device)
        found = evaluate_published(given, quiet=as_json)
        click.echo(json.dumps(found) if as_json else published_page(found))
        return
    if data is None:
        raise InputError("--data", None, "a folder of real images, or --inception and --reference")
    refuse_options({"reference": reference, "out": folder}, "none without --inception")
    opened = open_engine(engine)
    manifest = opened.manifest
    # A static schedule has no policy to blend or refine.
    adaptive = params.blended or params.refine > 1
    wanted = schedules or (("policy",) if adaptive else schedule_names(manifest))
    # All are checked before the judge computes features of the real images, which takes long.
    asked = _captions(manifest, data)
    played = [name for name in wanted if name in BASELINES]
    known = [name for name in SCHEDULES if name in wanted or (played and name == "policy")]
    if bootstrap and "policy" not in known:
        raise InputError("bootstrap", bootstrap, "the policy among the schedules")
    if played:
        check_plain(params, played[0])
    requests = {
        name: draw_request(manifest, samples, seed, replace(params, schedule=name), asked)
        for name in known
    }
    pipeline = make_pipeline(opened, execution)
    for request in requests.values():
        pipeline.capabilities.check(pipeline.backend, request.params)
    prepare_torch(execution.threads, device)
    judge = open_judge("engine", manifest, data, features, device)
    texts = None if agreement is None else _open_agreement(agreement, judge, manifest)
    results = dict(_results(pipeline, requests, played, batch_size))
    seen = {name: judge.look(result) for name, result in results.items()}
    scores = {name: judge.score(one) for name, one in seen.items()}
    if texts is not None and asked is not None:
        for name, result in results.items():
            share = texts.accuracy(seen[name].features, result.prompts, asked)
            scores[name] = replace(scores[name], agreement=share)
    sure = _intervals(judge, seen, bootstrap) if bootstrap else {}
    facts: dict[str, Any] = {
        "engine": manifest.name,
        "steps": next(iter(requests.values())).steps,
        "seed": seed,
        **{name: value for name, value in params.changed().items() if name != "steps"},
        **pipeline.facts(),
        "judge": judge.describe(),
        "scores": {
            name: named_score(score, judge.distance)
            | {"evaluations": float(results[name].evaluations.mean())}
            for name, score in scores.items()
        },
    }
    for name, bounds in sure.items():
        facts["scores"][name]["over_policy"] = bounds
    click.echo(json.dumps(facts) if as_json else score_page(facts, scores, judge.distance, sure))


def _only(schedules: tuple[str, ...]) -> ScheduleName | None:
    """Take the one schedule that `--inception` scores; None is the engine's own."""
    if not schedules:
        return None
    known = [name for name in SCHEDULES if name in schedules]
    if len(schedules) != 1 or not known:
        expected = f"one of {', '.join(SCHEDULES)} with --inception"
        raise InputError("schedule", ", ".join(schedules), expected)
    return known[0]


def _results(
    pipeline: Pipeline, requests: Mapping[ScheduleName, Request], played: list[str], batch_size: int
) -> Iterator[tuple[str, Result]]:
    """Make the images under each schedule; the policy's once, for itself and its baselines."""
    for name, request in requests.items():
        if name == "policy" and played:
            yield from make_baselines(pipeline.sampler, request, played, batch_size)
        else:
            yield name, make_images(pipeline, request, batch_size, name)


def _intervals(
    judge: Judge, seen: Mapping[str, Seen], times: int
) -> dict[str, tuple[float, float]]:
    """Bound each schedule's distance over the policy's."""
    drawn = PairedBootstrap(seen["policy"].features, judge.reference, times)
    return {name: drawn.interval(one.features) for name, one in seen.items() if name != "policy"}


def _captions(manifest: Manifest, data: Path) -> tuple[str, ...] | None:
    """Read the prompts to ask for, of an engine that takes prompts."""
    from adagen_rt.condition import Prompts

    if not isinstance(manifest.condition, Prompts):
        return None
    from adagen_rt.data.captioned import load_captioned

    return load_captioned(data, manifest.image.size, manifest.image.channels).captions


def _open_agreement(folder: Path, judge: Judge, manifest: Manifest) -> AgreementJudge:
    from adagen_rt.condition import Prompts
    from adagen_rt.evaluation.agreement import load_agreement

    if not isinstance(manifest.condition, Prompts) or judge.distance == "FID":
        expected = "none but for prompts, with --features efficientnet-lite0"
        raise InputError("agreement", str(folder), expected)
    return load_agreement(folder)
