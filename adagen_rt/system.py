"""This machine: CPU threads, instruction sets, and where the package and its cache are."""

from __future__ import annotations

import ctypes
import math
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib import metadata
from pathlib import Path, PurePosixPath

#: Where Linux shows the limits of groups of processes.
CGROUPS = Path("/sys/fs/cgroup")
#: Instruction sets that the kernels or ONNX Runtime gain from.
NOTABLE = (
    *("avx", "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512_vnni", "amx_tile"),
    *("asimd", "sve"),
)


def installed_versions(*packages: str) -> dict[str, str]:
    """Return the versions of those of some packages that are installed."""
    found = {}
    for name in packages:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def installed_package() -> Path | None:
    """Folder of the installed build of this package, which may not be the one that was imported."""
    for build in metadata.distributions(name="adagen-rt"):
        for file in build.files or ():
            path = Path(str(file.locate()))
            if file.parts == ("adagen_rt", "__init__.py") and path.is_file():
                return path.resolve().parent
    return None


def cache_folder() -> Path:
    """Return the package's cache: within ``ADAGEN_CACHE``, or in the user's cache folder."""
    root = os.environ.get("ADAGEN_CACHE") or os.environ.get("XDG_CACHE_HOME")
    return Path(root or Path.home() / ".cache") / "adagen-rt"


def available_threads() -> int:
    """Count the CPU threads that this process may use.

    By its affinity, its cgroup's quota, and ``OMP_NUM_THREADS``, in which launchers such as Ray
    and torchrun say its share.
    """
    if hasattr(os, "sched_getaffinity"):
        threads = len(os.sched_getaffinity(0))
    else:
        threads = os.cpu_count() or 1
    quota = cpu_quota()
    limits = [] if quota is None else [math.ceil(quota)]
    # One number a level of nesting.
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if asked.isdecimal():
        limits.append(int(asked))
    return max(1, min([threads, *limits]))


def cpu_quota(process: Path = Path("/proc/self/cgroup"), root: Path = CGROUPS) -> float | None:
    """Return the CPUs that a container's limit grants this process; None without a limit.

    The smallest limit of the process's own cgroup and all above it counts, in either version of
    the interface.
    """
    limits = [
        limit
        for folder in _cgroups(process, root)
        for limit in (_limit_v2(folder), _limit_v1(folder))
        if limit is not None
    ]
    return min(limits, default=None)


def _cgroups(process: Path, root: Path) -> Iterator[Path]:
    """Yield the folders that can have a limit of this process."""
    try:
        lines = process.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, place = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        mounts = (root / "cpu", root / "cpu,cpuacct") if controllers else (root, root / "unified")
        # In a container the folder of the process may be the mount itself.
        inside = PurePosixPath(place.lstrip("/"))
        for mount in mounts:
            yield from (mount / part for part in (inside, *inside.parents))


def _limit_v2(folder: Path) -> float | None:
    numbers = _read_numbers(folder / "cpu.max")
    return numbers[0] / numbers[1] if len(numbers) == 2 else None


def _limit_v1(folder: Path) -> float | None:
    quota = _read_numbers(folder / "cpu.cfs_quota_us")
    period = _read_numbers(folder / "cpu.cfs_period_us")
    return quota[0] / period[0] if quota and period else None


def _read_numbers(path: Path) -> list[int]:
    """Return the positive numbers of a file, if it has nothing else."""
    try:
        words = path.read_text(encoding="utf-8").split()
    except OSError:
        return []
    numbers = [int(word) for word in words if word.isdecimal() and int(word) > 0]
    return numbers if len(numbers) == len(words) else []


def cpu_features() -> tuple[str, ...]:
    """The notable instruction sets of this CPU; empty where the system does not list them."""
    flags = _flags()
    return tuple(name for name in NOTABLE if name in flags)


def _flags() -> set[str]:
    """All instruction sets of this CPU, by the system's names."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return set()
    return {
        flag
        for line in lines
        if line.startswith(("flags", "Features"))
        for flag in line.partition(":")[2].split()
    }


def processor_name() -> str:
    """Return the processor's name where the system tells it, else its architecture."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def load_average() -> float:
    """Return the number of processes that ran or waited, averaged over the last minute."""
    return round(os.getloadavg()[0], 2)


def has_vnni() -> bool:
    """Tell whether this CPU is known to add up products of bytes in 32 bits (VNNI)."""
    return any(name in ("avx_vnni", "avx512_vnni") for name in cpu_features())


def has_bfloat16() -> bool:
    """Tell whether this CPU is known to multiply bfloat16, which is slow elsewhere."""
    return any(name in ("avx512_bf16", "amx_bf16", "bf16") for name in _flags())


def return_freed_memory() -> None:
    """Let the C library return freed memory to the system; glibc keeps it otherwise."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # other libraries have none
        if trim is not None:
            trim(0)
