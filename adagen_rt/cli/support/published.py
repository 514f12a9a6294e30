"""`adagen-rt evaluate --inception`: a job of images, and the scores that papers print of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from adagen_rt.backends import Execution
from adagen_rt.bulk.formats import FORMATS
from adagen_rt.bulk.merge import merge
from adagen_rt.cli.support.ending import Interrupted
from adagen_rt.cli.support.job import Job, JobOptions
from adagen_rt.cli.support.shards import make_watched
from adagen_rt.cli.support.tables import table
from adagen_rt.errors import InputError
from adagen_rt.progress import bar
from adagen_rt.sampling.params import SamplingParams
from adagen_rt.sampling.pictures import save_arrays

if TYPE_CHECKING:
    from adagen_rt.evaluation.published import Looker

#: All images in one file, in the job's folder; and where features are kept.
SAMPLES, FEATURES = "samples.npz", "features"
SHARD, KIND = 1000, "npz"


@dataclass(frozen=True)
class PublishedOptions:
    """What was typed; each field is an option of `evaluate`.

    Attributes:
        engine: The engine's folder or name.
        inception: Weights of the network.
        reference: What images are compared with.
        protocol: Name of how images come to the network.
        folder: The job's folder.
        samples: Images.
        seed: Seed of the first.
        batch_size: Images that are made together.
        params: Sampling parameters.
        execution: Who runs the graphs.
        device: PyTorch's name of the device that the network computes on.
    """

    engine: str
    inception: Path
    reference: Path | None
    protocol: str
    folder: Path | None
    samples: int
    seed: int
    batch_size: int
    params: SamplingParams
    execution: Execution
    device: str

    def job(self) -> Job:
        """Check and describe the job; `adagen-rt bulk` with the same options goes on with it."""
        assert self.folder is not None
        return Job(
            JobOptions(
                engine=self.engine,
                label=(),
                lines=None,
                negative_prompt=None,
                rank=0,
                world=1,
                workers=1,
                count=self.samples,
                shard_size=SHARD,
                out=str(self.folder),
                kind=KIND,
                seed=self.seed,
                batch_size=self.batch_size,
                launcher="processes",
                devices=None,
                merge=None,
                mixed=False,
                params=self.params,
                execution=self.execution,
            )
        )


def evaluate_published(options: PublishedOptions, quiet: bool) -> dict[str, Any]:
    """Make what is missing of the images, look at them, and score them.

    Raises:
        AdagenError: Something is missing or does not fit.
        Interrupted: A signal came; the same command goes on.
    """
    from adagen_rt.evaluation.kept import fingerprint_weights
    from adagen_rt.evaluation.published import (
        PROTOCOLS,
        Looker,
        load_inception,
        load_reference,
        score,
    )

    if options.reference is None:
        raise InputError("reference", "nothing", "--reference with --inception: an .npz")
    if options.folder is None:
        raise InputError("out", "nothing", "--out with --inception: a folder for the images")
    protocol = PROTOCOLS[options.protocol]
    network = load_inception(options.inception)
    kept = Path(FEATURES) / f"{options.protocol}-{fingerprint_weights(network)}"
    looker = Looker(network, protocol, options.device)
    reference = load_reference(options.reference, looker)
    job = options.job()
    try:
        for _ in make_watched(job, quiet):
            pass
        merge(job.work, job.target, job.manifest.image, options.folder / SAMPLES)
        seen = _look(job, looker, options.folder / kept, quiet)
    except KeyboardInterrupt as error:
        raise Interrupted(error, f"the same command goes on in {options.folder}") from None
    params = job.work.plan.params
    return {
        "engine": job.manifest.name,
        "steps": params.steps,
        "seed": options.seed,
        "schedule": params.schedule,
        "protocol": options.protocol,
        "reference": options.reference.name,
        "samples": str(options.folder / SAMPLES),
        "scores": asdict(score(seen, reference, protocol)),
    }


def _look(job: Job, looker: Looker, kept: Path, quiet: bool) -> dict[str, np.ndarray[Any, Any]]:
    """Look at all shards; what was seen of each is kept for the next time."""
    kept.mkdir(parents=True, exist_ok=True)
    with bar(total=job.work.plan.count, unit="image", desc="features", hidden=quiet) as progress:
        parts = list(_shards(job, looker, kept, progress))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _shards(
    job: Job, looker: Looker, kept: Path, progress: Any
) -> Iterator[dict[str, np.ndarray[Any, Any]]]:
    for shard in job.work.plan.shards:
        name = job.work.name(shard)
        path = kept / name
        if not path.is_file():
            with job.target.fetch(name) as source:
                images = np.concatenate(list(FORMATS[KIND].read(source)))
            save_arrays(path, looker.look(images, progress.update))
        with np.load(path) as file:
            yield {key: file[key] for key in file.files}


def page(facts: dict[str, Any]) -> str:
    """Lay out the scores for people."""
    scores = facts["scores"]
    names = {
        "fid": "FID",
        "sfid": "sFID",
        "inception_score": "Inception score",
        "precision": "precision",
        "recall": "recall",
    }
    row = ["-" if scores[key] is None else f"{scores[key]:.3f}" for key in names]
    what = f"{scores['count']} images, {facts['steps']} steps, schedule {facts['schedule']}"
    told = f"{facts['engine']}: {what}, against {facts['reference']}, protocol {facts['protocol']}"
    return f"{told}\nimages: {facts['samples']}\n\n{table(tuple(names.values()), [tuple(row)])}"
