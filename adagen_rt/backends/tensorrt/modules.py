"""The two modules with one API: `tensorrt` and `tensorrt_rtx`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from adagen_rt.backends.gpu import compute_capability
from adagen_rt.errors import AdagenError, DeviceError, InputError, MissingExtraError

#: Target of a plan that is compiled for the GPU at hand when it is loaded.
PORTABLE = "portable"
#: Longest error of a module that is passed on.
MAX_TOLD = 400


@dataclass(frozen=True)
class Module:
    """One of the modules.

    Attributes:
        name: The backend, and the extra that installs it.
        module: What Python imports.
        majors: Major versions that this package was written for.
        portable: Whether its plans are built without a GPU, for every GPU that it supports;
            else they are for the compute capability of the GPU that built them.
    """

    name: str
    module: str
    majors: tuple[int, ...]
    portable: bool

    def load(self) -> Any:
        """The imported module.

        Raises:
            MissingExtraError: It is not installed.
            AdagenError: Its version is not one that is supported.
        """
        try:
            module = import_module(self.module)
        except ImportError as error:
            raise MissingExtraError(self.module, self.name) from error
        if int(module.__version__.split(".")[0]) not in self.majors:
            majors = " or ".join(str(major) for major in self.majors)
            raise AdagenError(
                f"{self.module}: got version {module.__version__}, expected {majors}; "
                f"install it with: pip install 'adagen-rt[{self.name}]'"
            )
        return module

    def target(self) -> str:
        """What plans built here are for: a compute capability, or `PORTABLE`.

        Raises:
            DeviceError: It takes a GPU, and there is none.
        """
        return PORTABLE if self.portable else compute_capability()

    def check_capability(self, capability: str) -> None:
        """Refuse a GPU that the module does not support.

        Raises:
            DeviceError: It does not.
        """
        major = int(capability.split(".")[0])
        # Ampere, Ada, and Blackwell as in GeForce and RTX PRO; not Hopper, for one.
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
    """The module behind a backend.

    Raises:
        InputError: No module is.
    """
    if backend not in MODULES:
        raise InputError("backend", backend, f"one of {', '.join(MODULES)}")
    return MODULES[backend]


def last_errors(errors: Sequence[str]) -> str:
    """The last errors that a module has logged, the cause among them, on a line not too long."""
    text = "; ".join(errors[-3:]) or "it does not say why"
    return text if len(text) <= MAX_TOLD else text[:MAX_TOLD] + "…"


def make_logger(trt: Any) -> Any:
    """A logger that keeps what the module calls errors, in `errors`, and prints nothing."""

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity <= trt.ILogger.ERROR:
                self.errors.append(" ".join(message.split()))

    return Logger()
