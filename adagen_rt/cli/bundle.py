"""`adagen-rt bundle`: a whole generation as one standard ONNX model."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import click

from adagen_rt.cli.support.formats import NamedPath
from adagen_rt.cli.support.sampling_options import sampling_options
from adagen_rt.cli.support.tables import quantity
from adagen_rt.cli.support.verbosity import LOGGER
from adagen_rt.engine.bundle import SUFFIX, Dialect, Form, open_folder
from adagen_rt.engine.folder import open_engine
from adagen_rt.errors import EngineError, InputError, needs_extra
from adagen_rt.pipeline.load import check_threads
from adagen_rt.sampling.params import SamplingParams


@click.command()
@click.argument("engine")
@click.option(
    "--out", type=NamedPath(), help="The model to write: NAME.onnx; a folder with --form step."
)
@click.option(
    "--triton",
    type=NamedPath(),
    help="A model repository of Triton's onnxruntime backend, to write or to add to.",
)
@click.option("--web", type=NamedPath(), help="A folder to write: a page that generates.")
@click.option(
    "--runtime",
    type=NamedPath(),
    help="For --web: a folder with the files of onnxruntime-web, or with its archive. Default: the "
    "archive that npm fetches.",
)
@click.option(
    "--form",
    type=click.Choice(get_args(Form)),
    help="loop has one step, which the model repeats; unrolled has them all; step has one that the "
    "host repeats, and --out is a folder. Default: loop, where the family's steps are alike.",
)
@sampling_options("steps", "schedule", "best_of", "size")
@click.option(
    "--fidelity-input",
    is_flag=True,
    help="Have an input `fidelity`: each sample's share of the policy trained for fidelity.",
)
@click.option(
    "--steps-input",
    type=int,
    metavar="MAX",
    help="Have an input `steps`: each sample's number of steps, at most this.",
)
@click.option(
    "--for",
    "dialect",
    type=click.Choice(get_args(Dialect)),
    default="onnxruntime",
    show_default=True,
    help="Who runs it: tensorrt has other operators, and is far slower elsewhere.",
)
@click.option("--threads", type=int, help="CPU threads of the check; default: all.")
@click.option("--overwrite", is_flag=True, help="Write over what others made.")
def bundle(
    engine: str,
    out: Path | None,
    triton: Path | None,
    web: Path | None,
    runtime: Path | None,
    params: SamplingParams,
    threads: int | None,
    overwrite: bool,
    **options: Any,
) -> None:
    """Write a whole generation of ENGINE as one ONNX model, for any host of ONNX Runtime.

    It takes labels, or the token ids of prompts, and seeds. It gives images, the chosen schedule
    and which samples failed, with standard operators alone: noise, policy, backbone, sampling and
    decoder are all in it. Its images are compared with the runtime's before it appears.
    """
    with needs_extra("bundle"):
        from adagen_rt.onegraph.targets import CHECKS, WRITERS
    targets = {"out": out, "triton": triton, "web": web}
    wanted = {name: path for name, path in targets.items() if path is not None}
    if not wanted:
        raise click.UsageError("Missing option '--out', '--triton' or '--web'.")
    if runtime is not None and web is None:
        raise click.UsageError("--runtime needs --web.")
    opened = open_folder(engine)
    options |= {"threads": check_threads(threads), "progress": LOGGER.info}
    own = {name: options | ({"runtime": runtime} if name == "web" else {}) for name in wanted}
    for name, path in wanted.items():
        _check_free(name, path, overwrite)
        CHECKS[name](opened, path, params, **own[name])
    for name, path in wanted.items():
        written = WRITERS[name](opened, path, params, **own[name])
        size = sum(file.stat().st_size for file in written)
        click.echo(f"written: {path} ({quantity(size)}B)")


def _check_free(name: str, path: Path, overwrite: bool) -> None:
    """Refuse a file that is not a bundle."""
    if name != "out" or overwrite or not path.is_file() or path.suffix.lower() != SUFFIX:
        return
    try:
        open_engine(path)
    except EngineError:
        expected = "a new file, a bundle, or --overwrite"
        raise InputError(name, str(path), expected) from None
