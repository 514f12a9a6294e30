"""The two modules with one API: `tensorrt` and `tensorrt_rtx`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from adagen_rt.backends.gpu import compute_capability
from adagen_rt.errors import AdagenError, DeviceError, InputError, needs_extra

#: Target of a plan that is compiled for this machine's GPU when it is loaded.
PORTABLE = "portable"
#: Longest error of a module, in characters, that is passed on.
MAX_TOLD = 400


@dataclass(frozen=True)
class Module:
    """One of the two modules.

    Attributes:
        name: Name of the backend, and of the extra that installs it.
        module: Name of the Python module.
        majors: Supported major versions.
        portable: Whether its plans are built without a GPU, for every GPU that it supports;
            otherwise they are for the compute capability of the GPU that built them.
    """

    name: str
    module: str
    majors: tuple[int, ...]
    portable: bool

    def load(self) -> Any:
        """Import the module.

        Raises:
            MissingExtraError: The module is not installed.
            AdagenError: Its version is not supported.
        """
        with needs_extra(self.name, self.module):
            module = import_module(self.module)
        if int(module.__version__.split(".")[0]) not in self.majors:
            majors = " or ".join(str(major) for major in self.majors)
            raise AdagenError(
                f"{self.module}: got version {module.__version__}, expected {majors}; "
                f"install it with: pip install 'adagen-rt[{self.name}]'"
            )
        return module

    def target(self) -> str:
        """Return the target of plans that are built here: a compute capability, or `PORTABLE`.

        Raises:
            DeviceError: The module builds for a GPU, and there is none.
        """
        return PORTABLE if self.portable else compute_capability()

    def check_capability(self, capability: str) -> None:
        """Refuse a GPU that the module does not support.

        Raises:
            DeviceError: The module does not support it.
        """
        major = int(capability.split(".")[0])
        # Ampere, Ada, and Blackwell of GeForce and RTX PRO; Hopper, for example, is missing.
        if self.portable and major != 8 and major < 12:
            raise DeviceError(
                f"{self.name}: got a GPU of compute capability {capability}, expected 8.x or "
                "12.0 and later; tensorrt supports the others"
            )


MODULES = {
    "tensorrt": Module("tensorrt", "tensorrt", (10, 11), portable=False),
    "tensorrt-rtx": Module("tensorrt-rtx", "tensorrt_rtx", (1,), portable=True),
}


def find_module(backend: str) -> Module:
    """Find the module of a backend.

    Raises:
        InputError: No module has this backend.
    """
    if backend not in MODULES:
        raise InputError("backend", backend, f"one of {', '.join(MODULES)}")
    return MODULES[backend]


def last_errors(errors: Sequence[str]) -> str:
    """Join the last errors that a module has logged on one short line; they include the cause."""
    text = "; ".join(errors[-3:]) or "it does not say why"
    return text if len(text) <= MAX_TOLD else text[:MAX_TOLD] + "…"


def make_logger(trt: Any) -> Any:
    """Make a logger that keeps the module's errors in `errors` and prints nothing."""

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity <= trt.ILogger.ERROR:
                self.errors.append(" ".join(message.split()))

    return Logger()
