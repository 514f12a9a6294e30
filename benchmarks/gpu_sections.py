"""The sections of ``gpu_check.py``: each yields rows of subject, outcome and detail."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from gpu_backends import compare, usable_backends
from gpu_bounds import H200, WORK, describe_bound, find_gpu
from gpu_bundle import beside_loop
from gpu_kernels import Board, checks
from gpu_latency import Times, measured
from timing import interleaved_medians

from adagen_rt.backends.tensorrt import MODULES
from adagen_rt.cuda import Driver
from adagen_rt.cuda.host import HostDriver

Row = tuple[str, str, str]
FASHION = ("fashion-maskgit", "fashion-var", "fashion-dit", "fashion-sit")
BATCHES = (1, 8)
#: Compute-sanitizer's: addresses, shared memory, memory that was never written, barriers.
TOOLS = ("memcheck", "racecheck", "initcheck", "synccheck")
#: Seconds that each of them may take.
PATIENCE = 300


def kernels(driver: Driver, quick: bool) -> Iterator[Row]:
    """Every kernel against the specification."""
    board = Board(driver, driver.new_stream())
    for check in checks(quick):
        difference = check.run(board)
        passed = difference <= check.limit
        detail = f"difference {difference:.2g}, limit {check.limit:.2g}"
        yield check.name, "passed" if passed else "FAILED", detail


def engines(driver: Driver, quick: bool) -> Iterator[Row]:
    """The captured loop against the pipeline on the CPU, for the same networks and seeds."""
    import torch
    from gpu_programs import Model, request

    from adagen_rt.export.engine import export_networks
    from adagen_rt.export.networks import seed_networks
    from adagen_rt.pipeline.stepwise import StepwisePipeline

    # Convolutions would round their inputs to TensorFloat-32, which the CPU does not.
    torch.backends.cudnn.allow_tf32 = False
    rows, seeds = request(3)
    for name in FASHION[: 1 if quick else None]:
        model = Model(name, _place(driver), torch.float32)
        outcome = model.runner(model.program(3)).run(rows, seeds)
        with tempfile.TemporaryDirectory() as folder:
            engine = export_networks(
                model.recipe,
                lambda m=model: seed_networks(m.recipe, "gpu-check"),
                Path(folder) / name,
            )
            expected = StepwisePipeline(engine).generate(rows["labels"].tolist(), seeds.tolist())
        yield name, *_compared(outcome, expected)


def _compared(outcome: Any, expected: Any) -> tuple[str, str]:
    """Where the choices part first and by how much, and how the images differ."""
    chosen = np.stack(list(expected.schedule.values()), axis=1)
    margin = np.abs(outcome.trace - chosen).reshape(len(chosen), -1).max(axis=1)
    parted = np.flatnonzero(~(margin <= 1e-3))
    pixels = np.abs(outcome.images.astype(int) - expected.images)
    share = float((pixels > 1).mean())
    if not parted.size and share == 0:
        return "passed", f"choices within {margin.max():.1e}, pixels within {pixels.max()}"
    where = f"from call {parted[0]} by {margin[parted[0]]:.1e}" if parted.size else "never"
    return "FAILED", f"choices part {where}; {share:.1%} of pixels differ"


def backends(driver: Driver, quick: bool) -> Iterator[Row]:
    """The shipped engines behind ``adagen_rt.load``, by every backend of a GPU, against the CPU."""
    for backend, problem in usable_backends():
        for name in FASHION[: 1 if quick else None]:
            if isinstance(driver, HostDriver) or problem:
                yield f"{name} {backend}", "skipped", problem or "no GPU"
            else:
                yield f"{name} {backend}", *compare(name, backend)


def bundle(driver: Driver, quick: bool) -> Iterator[Row]:
    """One plan of a whole generation against the CPU, timed beside the captured loop of plans."""
    for backend, problem in usable_backends():
        for name in FASHION[: 1 if quick else None] if backend in MODULES else ():
            if isinstance(driver, HostDriver) or problem:
                yield f"{name} {backend}", "skipped", problem or "no GPU"
            else:
                yield f"{name} {backend}", *beside_loop(driver, name, backend)


def sync(driver: Driver, quick: bool) -> Iterator[Row]:
    """Host synchronisations and allocations within one generation."""
    from gpu_programs import Model, request
    from torch import float32

    for name in FASHION[: 1 if quick else None]:
        counted = Counted(driver)
        model = Model(name, _place(counted), float32)
        runner = model.runner(model.program(2))
        counted.calls.clear()
        runner.run(*request(2))
        waits, taken = counted.calls.count("synchronize"), counted.calls.count("allocate")
        passed = (waits, taken) == (1, 0)
        yield name, "passed" if passed else "FAILED", f"{waits} waits, {taken} allocations"


class Counted:
    """A driver that keeps the names of the calls made to it."""

    def __init__(self, driver: Driver) -> None:
        self.wrapped = driver
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        self.calls.append(name)
        return getattr(self.wrapped, name)


def sanitizer(driver: Driver, quick: bool) -> Iterator[Row]:
    """The kernels' section once more under every tool of compute-sanitizer."""
    program = shutil.which("compute-sanitizer")
    if program is None or isinstance(driver, HostDriver):
        yield "kernels", "skipped", "no compute-sanitizer" if program is None else "no GPU"
        return
    script = Path(__file__).with_name("gpu_check.py")
    section = [sys.executable, str(script), "--sections", "kernels", "--quick"]
    section += ["--driver", driver.name]
    for tool in TOOLS:
        command = [program, "--tool", tool, "--error-exitcode", "9", *section]
        result = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        found = re.findall(r"ERROR SUMMARY.*|RACECHECK SUMMARY.*", result.stdout + result.stderr)
        last = found or (result.stdout.strip() or result.stderr.strip()).splitlines()[-1:]
        yield tool, "FAILED" if result.returncode else "passed", " ".join(last)[:120]


def latency(driver: Driver, quick: bool) -> Iterator[Row]:
    """Published sizes with seeded weights: this runtime, PyTorch eager, torch.compile.

    All run the same modules cast to bfloat16, policy and VAR's quantiser in float32.
    """
    hosted = isinstance(driver, HostDriver)
    gpu = H200 if hosted else find_gpu(_device_name())
    names = list(WORK)[: 1 if quick else None]
    for batch in BATCHES:
        bounds = {name: describe_bound(name, batch, gpu) for name in names}
        if hosted:
            yield from ((f"{n} batch {batch}", "skipped", f"{bounds[n]}; not run") for n in names)
            continue
        for name, times in measured(driver.name, names, batch):
            outcome = "FAILED" if isinstance(times, str) else "measured"
            yield f"{name} batch {batch}", outcome, f"{bounds[name]}; {_told(times)}"


def parts(driver: Driver, quick: bool) -> Iterator[Row]:
    """Where the time of one image goes: the ops of each kind alone, over networks uncompiled.

    Each number has in it what bringing a request there and back takes, some 0.03 ms.
    """
    hosted = isinstance(driver, HostDriver)
    for name in list(WORK)[: 1 if quick else None]:
        if hosted:
            yield name, "skipped", "no GPU"
            continue
        yield name, "measured", _parts(driver, name)


def _parts(driver: Driver, name: str) -> str:
    from gpu_programs import Model, only, request
    from torch import bfloat16

    model = Model(name, _place(driver), bfloat16)
    program = model.program(1)
    # The whole first: each kind alone then finds in its buffers what the others left there.
    model.runner(program)
    counts = Counter(op.label for op in program.ops)
    runners = {label: model.runner(only(program, [label])) for label in counts}
    calls = {label: partial(runner.run, *request(1)) for label, runner in runners.items()}
    medians = interleaved_medians(calls)
    program.buffers.free()
    return ", ".join(f"{n} {label} {medians[label] * 1e3:.2f} ms" for label, n in counts.items())


def _device_name() -> str:
    import torch

    return torch.cuda.get_device_name(0)


def _told(times: Times | str) -> str:
    if isinstance(times, str):
        return times
    parts = [
        f"{kind} {value if isinstance(value, str) else f'{value * 1e3:.2f} ms'}"
        for kind, value in times.items()
    ]
    if "loop" in times:
        share = 1 - float(times["networks"]) / float(times["loop"])
        parts.append(f"other than backbone and decoder {share:.1%}")
    return ", ".join(parts)


def _place(driver: Any) -> Any:
    from gpu_programs import Place

    hosted = isinstance(getattr(driver, "wrapped", driver), HostDriver)
    return Place(driver, driver.new_stream(), "cpu" if hosted else "cuda")


SECTIONS = {
    "kernels": kernels,
    "engines": engines,
    "backends": backends,
    "bundle": bundle,
    "sync": sync,
    "sanitizer": sanitizer,
    "parts": parts,
    "latency": latency,
}
