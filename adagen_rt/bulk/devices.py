"""Which GPU a worker has: it sees no other, so that whatever it loads goes there."""

from __future__ import annotations

from collections.abc import MutableMapping

from adagen_rt.backends import DEVICE_BACKENDS, Execution
from adagen_rt.errors import InputError

#: What CUDA reads when a process first uses it: numbers or names of GPUs.
VISIBLE = "CUDA_VISIBLE_DEVICES"
MAX_DEVICES = 1024


def read_devices(text: str | None, execution: Execution) -> tuple[int, ...]:
    """Read numbers of GPUs, such as ``0,1``.

    Raises:
        InputError: It is something else, or what runs the graphs uses no GPU.
    """
    if text is None:
        return ()
    parts = [part.strip() for part in text.split(",")]
    good = all(part.isdecimal() and int(part) < MAX_DEVICES for part in parts)
    if not good or len(set(parts)) < len(parts):
        raise InputError("devices", text, "different numbers of GPUs, such as 0,1")
    if execution.backend not in DEVICE_BACKENDS and execution.provider in (None, "cpu"):
        runs = f"the backend {execution.backend}"
        raise InputError("devices", text, f"none with {runs}, which uses no GPU")
    return tuple(map(int, parts))


def see_only(device: int, environment: MutableMapping[str, str]) -> None:
    """Let this process see one GPU, of those that it may see; before CUDA is used.

    Args:
        device: Its number among them.
        environment: Variables of the process.

    Raises:
        InputError: There are not so many.
    """
    visible = environment.get(VISIBLE)
    if visible is None:
        environment[VISIBLE] = str(device)
        return
    names = [name.strip() for name in visible.split(",") if name.strip()]
    if device >= len(names):
        raise InputError("devices", device, f"fewer than {len(names)}, those of {VISIBLE}")
    environment[VISIBLE] = names[device]
