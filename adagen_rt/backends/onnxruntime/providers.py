"""Execution providers of ONNX Runtime: its CPU, CUDA, and plugins in separate packages.

A plugin's package is called ``onnxruntime-ep-NAME``. Its module has the path of the library
(``get_library_path``) and the provider's name in ONNX Runtime (``get_ep_name``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import import_module, metadata
from typing import Any

from adagen_rt.errors import DeviceError, InputError, MissingExtraError

CPU, CUDA = "cpu", "cuda"
#: Plugins' packages begin with it.
PREFIX = "onnxruntime-ep-"
#: Plugins that this package has an extra of the same name for.
EXTRAS = ("nv-tensorrt-rtx",)
_PLUGIN = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
#: TensorFloat-32 would round inputs that the CPU does not round.
_CUDA_OPTIONS = {"use_tf32": "0"}
#: This fusion's kernel is not vectorised, and takes longer than the two that it replaces.
_CPU_ARGUMENTS = {
    "providers": ["CPUExecutionProvider"],
    "disabled_optimizers": ["SkipLayerNormFusion"],
}


@dataclass(frozen=True)
class Provider:
    """An execution provider that is installed.

    Attributes:
        name: Its name in this package.
        title: Its name in ONNX Runtime.
        arguments: Arguments of ``InferenceSession`` besides its options; none where the options
            name the provider already.
    """

    name: str
    title: str
    arguments: dict[str, Any]

    def check(self, session: Any) -> None:
        """Refuse a session that has fallen back to the CPU, as ONNX Runtime does silently.

        Raises:
            DeviceError: The session has fallen back.
        """
        if self.title not in session.get_providers():
            raise DeviceError(
                f"provider: got {self.name!r}, but ONNX Runtime fell back to "
                f"{', '.join(session.get_providers())}: the GPU, its driver or a library that "
                "the provider needs is missing"
            )


def find_provider(ort: Any, options: Any, name: str) -> Provider:
    """Find the provider called ``name``.

    Args:
        ort: The module ``onnxruntime``.
        options: Options of the sessions that are to use it; a plugin is added to them.
        name: ``cpu``, ``cuda``, or the part after ``onnxruntime-ep-`` of a package's name.

    Raises:
        InputError: The name is not valid.
        MissingExtraError: The provider is not installed.
        DeviceError: The provider finds no supported device, or cannot be loaded.
    """
    if name == CPU:
        return Provider(name, "CPUExecutionProvider", _CPU_ARGUMENTS)
    if name == CUDA:
        title = "CUDAExecutionProvider"
        if title not in ort.get_available_providers():
            raise MissingExtraError("onnxruntime-gpu", CUDA)
        return Provider(name, title, {"providers": [(title, _CUDA_OPTIONS)]})
    if not isinstance(name, str) or not _PLUGIN.fullmatch(name):
        raise InputError("provider", name, "cpu, cuda, or a plugin such as nv-tensorrt-rtx")
    return Provider(name, _add_plugin(ort, options, name), {})


def _add_plugin(ort: Any, options: Any, name: str) -> str:
    """Let sessions use a plugin; return its provider's title."""
    plugin = _import_plugin(name)
    if not hasattr(ort, "get_ep_devices"):
        raise DeviceError(f"provider {name}: got ONNX Runtime {ort.__version__}, expected 1.24")
    title = str(plugin.get_ep_name())
    if not _devices(ort, title):
        _register(ort, title, str(plugin.get_library_path()), name)
    devices = _devices(ort, title)
    if not devices:
        raise DeviceError(f"provider {name}: it finds no device that it supports on this machine")
    options.add_provider_for_devices(devices[:1], {})
    return title


def _import_plugin(name: str) -> Any:
    module = f"onnxruntime_ep_{name.replace('-', '_')}"
    try:
        return import_module(module)
    except ImportError:
        if name in EXTRAS:
            raise MissingExtraError(module, name) from None
        plugins = {*EXTRAS, *installed_plugins()}
        expected = f"one of {', '.join((CPU, CUDA, *sorted(plugins)))}"
        raise InputError("provider", name, expected) from None


def installed_plugins() -> dict[str, str]:
    """List the versions of the installed plugins by the plugin's name."""
    builds = {str(build.name).lower(): build.version for build in metadata.distributions()}
    return {
        name.removeprefix(PREFIX): version
        for name, version in sorted(builds.items())
        if name.startswith(PREFIX)
    }


def _devices(ort: Any, title: str) -> list[Any]:
    return [device for device in ort.get_ep_devices() if device.ep_name == title]


def _register(ort: Any, title: str, library: str, name: str) -> None:
    """Load a plugin's library, which ONNX Runtime keeps for the whole process."""
    try:
        ort.register_execution_provider_library(title, library)
    except Exception as error:  # pybind exceptions without a common base
        reason = str(error).splitlines()[0]
        # Registered by an earlier session, which found no device either.
        if "already registered" not in reason:
            raise DeviceError(f"provider {name}: ONNX Runtime cannot load it: {reason}") from None
