"""Who makes the shards: this process, several of this machine, or actors of Ray."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from multiprocessing import connection
from typing import Any

from adagen_rt.backends import DEVICE_BACKENDS
from adagen_rt.bulk.devices import see_only
from adagen_rt.bulk.making import Made, Maker, Work
from adagen_rt.errors import AdagenError, StoppedError, needs_extra

#: Options of Ray on this machine alone, which then listens nowhere else.
LOCAL = {"address": "local", "include_dashboard": False, "_node_ip_address": "127.0.0.1"}
#: Seconds that a worker has to end after it was told to.
LAST_SECONDS = 5.0


def make_here(maker: Maker, shards: Sequence[int]) -> Iterator[Made]:
    """Make shards in this process."""
    return map(maker.make, shards)


def make_in_processes(
    work: Work, shards: Sequence[int], count: int, devices: Sequence[int] = ()
) -> Iterator[Made]:
    """Make shards in processes of this machine, each with the engine loaded.

    The shard of one that dies is given to another. With ``devices``, each sees one of these GPUs,
    in turn.

    Raises:
        AdagenError: A worker cannot work; or all have died.
    """
    with _Pool(work, min(count, len(shards)), devices) as pool:
        yield from pool.make(list(shards))


def import_ray() -> Any:
    """Import Ray.

    Raises:
        MissingExtraError: It is not installed.
    """
    if _on_this_machine():
        # Read at the import: Ray replaces 127.0.0.1 by an address that other machines reach.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    with needs_extra("ray", "ray"):
        import ray
    return ray


def _on_this_machine() -> bool:
    return "RAY_ADDRESS" not in os.environ


def make_in_ray(work: Work, shards: Sequence[int], count: int) -> Iterator[Made]:
    """Make shards in actors of Ray, which it places on the machines of its cluster."""
    ray = import_ray()
    from ray.util import ActorPool

    if not ray.is_initialized():
        ray.init(log_to_driver=False, **(LOCAL if _on_this_machine() else {}))
    actor: Any = ray.remote(
        num_cpus=work.execution.threads or 1,
        num_gpus=int(work.execution.backend in DEVICE_BACKENDS),
        max_restarts=-1,
        max_task_retries=-1,
    )(Maker)
    pool = ActorPool([actor.remote(work) for _ in range(min(count, len(shards)))])
    yield from pool.map_unordered(lambda one, shard: one.make.remote(shard), shards)


class _Pool:
    """Processes, each with a pipe through which it gets shards and tells what became of them."""

    def __init__(self, work: Work, count: int, devices: Sequence[int]) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._processes: dict[Any, Any] = {}
        self._under_way: dict[Any, int] = {}
        for number in range(count):
            here, there = spawn.Pipe()
            device = devices[number % len(devices)] if devices else None
            process = spawn.Process(target=_work, args=(work, there, device), daemon=True)
            process.start()
            there.close()  # so that its end is noticed
            self._processes[here] = process

    def make(self, shards: list[int]) -> Iterator[Made]:
        """Have shards made, the first of them first."""
        waiting = shards[::-1]
        for pipe in list(self._processes):
            self._give(pipe, waiting)
        while self._under_way:
            ready: list[Any] = connection.wait(list(self._under_way))
            for pipe in ready:
                try:
                    told = pipe.recv()
                except (EOFError, OSError):
                    waiting.append(self._lose(pipe))
                    self._spread(waiting)
                    continue
                del self._under_way[pipe]
                if isinstance(told, BaseException):
                    raise told
                self._give(pipe, waiting)
                yield told

    def _give(self, pipe: Any, waiting: list[int]) -> None:
        """Give a worker the next shard, if there is one and the worker lives."""
        if waiting:
            shard = waiting.pop()
            self._under_way[pipe] = shard
            with suppress(OSError):  # it is dead, which the next look notices
                pipe.send(shard)

    def _spread(self, waiting: list[int]) -> None:
        """Give idle workers what a dead one left."""
        for pipe in self._processes.keys() - self._under_way.keys():
            self._give(pipe, waiting)

    def _lose(self, pipe: Any) -> int:
        """Forget a worker that died, and return the shard that it was making."""
        process = self._processes.pop(pipe)
        process.join()
        pipe.close()
        if not self._processes:
            expected = "the same command goes on; with less memory to use take fewer --workers"
            raise StoppedError(
                f"every worker has died, the last of them {_death(process.exitcode)}; {expected}"
            )
        return self._under_way.pop(pipe)

    def __enter__(self) -> _Pool:
        return self

    def __exit__(self, *exception: object) -> None:
        for pipe, process in self._processes.items():
            pipe.close()
            if pipe in self._under_way:
                process.terminate()
        for process in self._processes.values():
            process.join(LAST_SECONDS)
            process.kill()


def _death(status: int | None) -> str:
    if status is not None and status < 0:
        return f"by {signal.Signals(-status).name}"
    return f"with the exit status {status}"


def _work(work: Work, pipe: Any, device: int | None) -> None:
    """Make shards as they come, until the pipe is closed; a worker process runs this."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who started it ends it
    try:
        shard = pipe.recv()
        if device is not None:
            see_only(device, os.environ)
        maker = Maker(work)
        while True:
            pipe.send(maker.make(shard))
            shard = pipe.recv()
    except (EOFError, BrokenPipeError):
        sys.exit()
    except AdagenError as error:
        pipe.send(error)
    except OSError as error:
        pipe.send(OSError(error.errno, error.strerror or str(error), error.filename))
