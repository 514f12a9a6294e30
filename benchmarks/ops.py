"""CPU kernels against PyTorch eager and NumPy: milliseconds a call, and ratios.

Regime: float32, every token masked (the most work a step can have), temperatures other than
1, the same number of threads for the kernels and PyTorch. "numpy" is the specification in
``adagen_rt/ops/reference.py``, Philox noise included, and "torch" the same work as one would
write it in eager PyTorch (``eager.py``; for the solver, the specification on tensors).

    python benchmarks/ops.py [--threads 2] [--repeats 15]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from functools import partial

import eager
import numpy as np
import torch
from timing import conditions, interleaved_medians, print_report

from adagen_rt.families.diffusion.solvers import DEFAULT_SOLVER, SOLVERS
from adagen_rt.ops import Philox
from adagen_rt.ops.cpu import CpuOps
from adagen_rt.ops.reference import ReferenceOps
from adagen_rt.ops.solver import PROCESSES

BATCHES = (1, 8)
SIZES = ((256, 1024), (64, 256))  # tokens, vocabulary
LATENT = (4, 32, 32)
HEADER = ("op", "batch", "size", "kernel_ms", "torch_ms", "numpy_ms", "over_torch", "over_numpy")

Contenders = dict[str, Callable[[], object]]


def contenders(name: str, ops: CpuOps, arguments: list, torch_call: Callable) -> Contenders:
    """Return the three ways to do one op's work; ``torch_call`` is given its tensors."""
    return {
        "kernel": partial(getattr(ops, name), *arguments),
        "torch": torch_call,
        "numpy": partial(getattr(ReferenceOps(), name), *arguments),
    }


def _tensors(arguments: list) -> list:
    return [torch.from_numpy(a) if isinstance(a, np.ndarray) else a for a in arguments]


def _full(batch: int, value: float) -> np.ndarray:
    return np.full(batch, value, np.float32)


def token_cases(ops: CpuOps, batch: int, size: tuple[int, int]) -> Iterator[tuple[str, Contenders]]:
    """Yield MaskGIT's and VAR's ops at one size."""
    rng = np.random.default_rng(0)
    tokens, vocabulary = size
    cond, null = rng.normal(size=(2, batch, tokens, vocabulary)).astype(np.float32) * 2
    noise = Philox(rng.integers(0, 2**63, batch), np.zeros(batch, np.int64))
    masked = np.full((batch, tokens), vocabulary)
    guided = [cond, null, _full(batch, 1), _full(batch, 0.9), _full(batch, 0.5), masked, vocabulary]
    call = partial(eager.guided_sample, *_tensors(guided))
    yield "guided_sample", contenders("guided_sample", ops, [*guided, noise], call)
    confidence = rng.normal(size=(batch, tokens)).astype(np.float32)
    again = [masked, confidence, _full(batch, 0.5), vocabulary]
    yield "remask", contenders("remask", ops, again, partial(eager.remask, *_tensors(again)))
    top_k, top_p = int(0.22 * vocabulary), 0.96
    logits = [cond, null, _full(batch, 1)]
    head = [_full(batch, top_k), _full(batch, top_p), _full(batch, 0.9)]
    call = partial(eager.sample_top_k_top_p, *_tensors(logits), top_k, top_p, _tensors(head)[2])
    name = "sample_top_k_top_p"
    yield name, contenders(name, ops, [*logits, *head, noise], call)


def latent_cases(ops: CpuOps, batch: int) -> Iterator[tuple[str, Contenders]]:
    """Yield the ops of DiT and SiT on latents of a 256 x 256 image."""
    rng = np.random.default_rng(0)
    arrays = list(rng.normal(size=(5, batch, *LATENT)).astype(np.float32))
    times = np.tile(np.asarray([0.8, 0.7, 0.6], np.float32), (batch, 1))
    phase, solver = np.ones(batch, np.int64), SOLVERS[DEFAULT_SOLVER]
    arguments = [*arrays, _full(batch, 1.5), times, phase, PROCESSES["vp"], solver]
    call = partial(ReferenceOps().solver_update, *_tensors(arguments))
    yield "solver_update", contenders("solver_update", ops, arguments, call)
    seeds = rng.integers(0, 2**63, batch)
    yield "normal", contenders("normal", ops, [seeds, LATENT], partial(torch.randn, batch, *LATENT))


def _all_cases(ops: CpuOps) -> Iterator[tuple[str, int, str, Contenders]]:
    for batch in BATCHES:
        for size in SIZES:
            for name, calls in token_cases(ops, batch, size):
                yield name, batch, f"{size[0]}x{size[1]}", calls
        for name, calls in latent_cases(ops, batch):
            yield name, batch, "x".join(map(str, LATENT)), calls


def main() -> None:
    """Time every op at every size and print the report."""
    parser = argparse.ArgumentParser(description="Time the CPU kernels.")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    facts = conditions(options.threads) | {"torch": torch.__version__, "numpy": np.__version__}
    rows = []
    for name, batch, size, calls in _all_cases(CpuOps(options.threads)):
        ms = {k: 1e3 * v for k, v in interleaved_medians(calls, options.repeats).items()}
        kernel, eager_ms, numpy_ms = ms["kernel"], ms["torch"], ms["numpy"]
        ratios = (eager_ms / kernel, numpy_ms / kernel)
        rows.append((name, batch, size, kernel, eager_ms, numpy_ms, *ratios))
    print_report("ops", HEADER, rows, facts)


if __name__ == "__main__":
    main()
