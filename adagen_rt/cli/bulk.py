"""`adagen-rt bulk`: very many images, in shards."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click

from adagen_rt.bulk.formats import FORMATS
from adagen_rt.bulk.making import Made
from adagen_rt.bulk.merge import merge
from adagen_rt.cli.support.backend_options import backend_options
from adagen_rt.cli.support.config import config_option
from adagen_rt.cli.support.ending import Interrupted
from adagen_rt.cli.support.formats import NamedPath
from adagen_rt.cli.support.job import Job, JobOptions
from adagen_rt.cli.support.sampling_options import sampling_options
from adagen_rt.cli.support.shards import make_watched
from adagen_rt.cli.support.verbosity import LOGGER


@click.command()
@click.argument("engine")
@click.option("--count", type=int, help="Images in total; default: one for each line of --from.")
@click.option("--shard-size", type=int, default=1000, show_default=True, help="Images of a shard.")
@click.option("--out", required=True, help="A folder, or a URL of fsspec such as s3://bucket/job.")
@click.option(
    "--format",
    "kind",
    type=click.Choice(tuple(FORMATS)),
    default="npz",
    show_default=True,
    help="A shard is an .npz of arrays, a .tar for webdataset, a .parquet, or a folder of PNGs.",
)
@click.option(
    "--label",
    multiple=True,
    help="Class number, range or name; repeatable. Images take them in turn; default: all.",
)
@click.option(
    "--from",
    "lines",
    type=NamedPath(),
    help="A text file with a class or prompt a line, which images take in turn; of a .jsonl, lines "
    'are {"label": ...}, or {"prompt": ..., "negative_prompt": ...}.',
)
@click.option(
    "--negative-prompt",
    help="What guidance leads away from, where a line of --from does not say it. Default: the "
    "engine's own, usually the empty text.",
)
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Seed of the first; others count up."
)
@click.option("--batch-size", type=int, default=64, show_default=True, help="Images made together.")
@click.option("--rank", type=int, help="Number of this process, from 0; default: the launcher's.")
@click.option("--world", type=int, help="Number of processes; default: the launcher's.")
@click.option(
    "--workers", type=int, default=1, show_default=True, help="Workers that this process starts."
)
@click.option(
    "--devices", help="Numbers of GPUs, such as 0,1: a worker for each, which sees no other."
)
@click.option(
    "--launcher",
    type=click.Choice(("processes", "ray")),
    default="processes",
    show_default=True,
    help="Whether workers are processes of this machine, or actors of a Ray cluster.",
)
@click.option(
    "--merge",
    type=NamedPath(),
    help="Then write all images into one .npz, for ADM's evaluation: arr_0 (N, H, W, 3) uint8.",
)
@click.option(
    "--mixed",
    is_flag=True,
    help="Go on where shards are of another kind of processor, or other versions of packages: last "
    "bits may differ.",
)
@sampling_options()
@backend_options
@click.option("--json", "as_json", is_flag=True, help="Print a summary as JSON.")
@config_option
@click.pass_context
def bulk(context: click.Context, /, as_json: bool, **options: Any) -> None:
    """Generate very many images of ENGINE (a folder, or a shipped engine's name), in shards.

    Each shard appears whole or not at all, and what is there is not made again: the same command
    goes on after any end. Any number of processes, also of several machines, may share the work.
    """
    job = Job(given := JobOptions(**options))
    begin, made = time.perf_counter(), _make(job, quiet=as_json)
    summary = _summary(job, made, time.perf_counter() - begin)
    if given.merge is not None:
        summary["merged"] = merge(job.work, job.target, job.manifest.image, given.merge)
    click.echo(json.dumps(summary) if as_json else _page(job, summary, given.merge))
    for number, step in sorted(summary["failures"].items()):
        LOGGER.warning("image %d met a non-finite number at step %d", number, step)
    if summary["failures"]:
        context.exit(1)


def _make(job: Job, quiet: bool) -> list[Made]:
    """Make this process's shards, and show how far all are."""
    try:
        return list(make_watched(job, quiet))
    except KeyboardInterrupt as error:
        left = len(job.work.missing(job.target, job.work.plan.shards))
        there = len(job.work.plan.shards) - left
        kept = f"{there} of {there + left} shards are in {job.target}; the same command goes on"
        raise Interrupted(error, kept) from None


def _summary(job: Job, made: list[Made], seconds: float) -> dict[str, Any]:
    plan = job.work.plan
    failures: dict[int, int] = {}
    for one in made:
        failures |= one.failures
    return {
        "engine": job.manifest.name,
        "rank": job.place.rank,
        "world": job.place.world,
        "shards": len(plan.shards),
        "made": len(made),
        "missing": len(job.work.missing(job.target, plan.shards)),
        "images": sum(one.images for one in made),
        "failures": failures,
        "seconds": seconds,
        "out": str(job.target),
    }


def _page(job: Job, summary: dict[str, Any], merged: Path | None) -> str:
    images, seconds = summary["images"], summary["seconds"]
    rate = f", {images / seconds:.3g} images/s" if images else ""
    lines = [
        f"{summary['engine']}: {images} images in {summary['made']} shards, {seconds:.1f} s{rate}"
    ]
    if job.place.world > 1:
        lines.append(f"process {job.place.rank} of {job.place.world}: {job.place.source}")
    there = summary["shards"] - summary["missing"]
    lines.append(f"{there} of {summary['shards']} shards are in {summary['out']}")
    if merged is not None:
        lines.append(f"written: {merged} ({summary['merged']} images)")
    return "\n".join(lines)
