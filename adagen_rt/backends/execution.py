"""Who runs an engine's graphs: the options of every command and call that loads one."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

#: Number formats in which the host's backends compute products, the default first.
PRECISIONS = ("fp32", "bf16")


@dataclass(frozen=True)
class Execution:
    """Who runs an engine's graphs, and in what; it travels to other processes.

    Attributes:
        backend: Name of the backend.
        threads: CPU threads of the backends of the host; None takes all that this process may use.
        provider: Execution provider of the backend; None is its CPU.
        precision: Number format of products, one of ``PRECISIONS``; None is float32 for float32
            weights.
        plans: Folder of plans that are neither beside the engine nor in the cache.
    """

    backend: str = "onnxruntime"
    threads: int | None = None
    provider: str | None = None
    precision: str | None = None
    plans: str | Path | None = None

    @property
    def facts(self) -> dict[str, str]:
        """What files say of it: all that may change an image."""
        found = asdict(self)
        return {name: found[name] for name in ("backend", "provider", "precision") if found[name]}
