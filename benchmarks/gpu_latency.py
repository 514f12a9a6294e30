"""Whole generations on a GPU, timed: this runtime against PyTorch, eager and compiled.

Compiling takes minutes, so every network is made ready in a process of its own, all at a time;
then they are timed one after the other.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

from timing import interleaved_medians
from worker import Calls, Worker

from adagen_rt.cuda import Driver

#: Calls before anything is timed: a CUDA graph is recorded at the second and replayed from the
#: third on.
WARMUPS = 4
#: What this runtime has compiled; the baseline has the same.
COMPILED = frozenset(["backbone", "policy", "decoder"])
Times = dict[str, float | str]


def measured(driver: str, names: list[str], batch: int) -> Iterator[tuple[str, Times | str]]:
    """Name and milliseconds by contender, or what went wrong with one or with all of them."""
    workers = {name: Worker(partial(contenders, driver, name, batch)) for name in names}
    ready = []
    with ExitStack() as stack:
        for name, worker in workers.items():
            try:
                stack.enter_context(worker)
            except EOFError:
                yield name, "its process ended, see above"
            else:
                ready.append(name)
        # Only now: nothing else may be compiling beside what is timed.
        for name in ready:
            workers[name].call("measure")
            yield name, workers[name].value


def contenders(driver: str, name: str, batch: int) -> Calls:
    """Make everything of one network ready to be timed by the call ``measure``."""
    import torch

    from adagen_rt.cuda import open_driver

    # VAR's backbone meets the shapes of ten scales; past the limit it would run eagerly.
    torch._dynamo.config.recompile_limit = 64
    opened = open_driver(driver)
    return prepared(opened, "cuda", name, batch, torch.bfloat16)


def prepared(
    driver: Driver, device: str, name: str, batch: int, dtype: Any, repeats: int = 15
) -> Calls:
    """The contenders on a device, warmed; those that cannot run are told with the times."""
    from gpu_baseline import baseline
    from gpu_programs import NETWORKS, Model, Place, only, request

    model = Model(name, Place(driver, driver.new_stream(), device), dtype)

    def ours(suffix: str, compiled: frozenset[str]) -> Calls:
        program = model.program(batch, compiled)
        # The whole first: the networks alone then find in their buffers what it left there.
        whole, alone = (model.runner(each) for each in (program, only(program, NETWORKS)))
        return {
            f"loop{suffix}": lambda: whole.run(*request(batch)),
            f"networks{suffix}": lambda: alone.run(*request(batch)),
        }

    makers: dict[str, Callable[[], Calls]] = {
        "ours": partial(ours, "", COMPILED),
        "ours uncompiled": partial(ours, " uncompiled", frozenset()),
        "eager": lambda: {"eager": baseline(model, batch, compiled=False)},
        "compiled": lambda: {"compiled": baseline(model, batch, compiled=True)},
    }
    ready: dict[str, Callable[[], object]] = {}
    failed: Times = {}
    for kind, make in makers.items():
        try:
            calls = make()
            for call in WARMUPS * list(calls.values()):
                call()
        except Exception as error:
            traceback.print_exc()
            failed[kind] = f"FAILED with {type(error).__name__}"
        else:
            ready |= calls
    return {"measure": lambda: interleaved_medians(ready, repeats) | failed}
