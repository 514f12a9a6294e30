"""Which part of a job a process has: its rank among how many, from options or its launcher."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from adagen_rt.errors import InputError, as_integer

MAX_WORLD = 1_000_000


@dataclass(frozen=True)
class Launcher:
    """Variables in which something that starts processes numbers them.

    Attributes:
        name: What users call it.
        rank: Variable with the process's number, from 0.
        worlds: Variables with how many there are, the more precise first; none where it does not
            say.
    """

    name: str
    rank: str
    worlds: tuple[str, ...] = ()


#: Who started the process last comes first: torchrun may run in a step of Slurm, or in a pod.
LAUNCHERS = (
    Launcher("torchrun", "RANK", ("WORLD_SIZE",)),
    # The tasks of a job may be more than those of the step.
    Launcher("Slurm", "SLURM_PROCID", ("SLURM_STEP_NUM_TASKS", "SLURM_NTASKS")),
    Launcher("Kubernetes", "JOB_COMPLETION_INDEX"),
)


@dataclass(frozen=True)
class Rank:
    """One of several processes that share a job.

    Attributes:
        rank: Its number, from 0.
        world: How many there are.
        source: Where that was found, in words.
    """

    rank: int
    world: int
    source: str

    def share(self, shards: range) -> range:
        """Choose the shards that this process makes."""
        return shards[self.rank :: self.world]


def find_rank(rank: int | None, world: int | None, environment: Mapping[str, str]) -> Rank:
    """Find a process's rank: as given, else as its launcher numbered it, else it is alone.

    Args:
        rank: The number that was given, if any.
        world: The number of processes that was given, if any.
        environment: Variables of the process.

    Raises:
        InputError: One of the two is missing, or a number is out of its range.
    """
    if rank is not None:
        if world is None:
            raise InputError("world", "nothing beside --rank", "--world N, the number of processes")
        return _checked(rank, world, "as given")
    found = next((one for one in LAUNCHERS if one.rank in environment), None)
    if found is None:
        if world not in (None, 1):
            names = ", ".join(one.rank for one in LAUNCHERS)
            raise InputError("rank", "nothing beside --world", f"--rank N, or one of {names} set")
        return Rank(0, 1, "alone")
    number = _read(environment, found.rank)
    if world is not None:
        return _checked(number, world, f"{found.rank} of {found.name}, and --world")
    _check_step(environment, found)
    name = next((name for name in found.worlds if name in environment), None)
    if name is None:
        wanted = " or ".join(found.worlds) or "which has no variable of its own"
        expected = f"--world N, the number of processes ({wanted})"
        raise InputError("world", f"nothing beside {found.rank} of {found.name}", expected)
    return _checked(number, _read(environment, name), f"{found.rank} and {name} of {found.name}")


def _check_step(environment: Mapping[str, str], found: Launcher) -> None:
    """Refuse a batch script of Slurm, which is numbered 0 of all tasks and starts none of them."""
    in_job, in_step = "SLURM_JOB_ID" in environment, "SLURM_STEP_ID" in environment
    if found.name == "Slurm" and in_job and not in_step and environment.get("SLURM_NTASKS") != "1":
        expected = "srun before the command, which starts every task; or --rank 0 --world 1"
        raise InputError("rank", "a batch script of Slurm, outside of its tasks", expected)


def _checked(rank: int, world: int, source: str) -> Rank:
    as_integer("world", world, 1, MAX_WORLD)
    as_integer("rank", rank, 0, world - 1)
    return Rank(rank, world, source)


def _read(environment: Mapping[str, str], name: str) -> int:
    text = environment[name]
    if not (text.isdecimal() and len(text) <= len(str(MAX_WORLD))):
        raise InputError(name, text, "a number of processes")
    return int(text)
