"""Execution providers that the machine lacks, with stand-ins for ONNX Runtime and its plugins."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from tiny_engine import CLASSES, TOKENS

import adagen_rt
from adagen_rt.backends import make_backend
from adagen_rt.backends.onnxruntime import session
from adagen_rt.backends.onnxruntime.providers import find_provider
from adagen_rt.errors import DeviceError, InputError, MissingExtraError

CUDA, CPU, PLUGIN = "CUDAExecutionProvider", "CPUExecutionProvider", "NvExecutionProvider"


class FakeRuntime:
    """ONNX Runtime with some providers; sessions run on the real one's CPU."""

    __version__ = "1.32.0"

    def __init__(self, available=(CPU,), works=True):
        import onnxruntime as real

        self.real, self.available, self.works = real, available, works
        self.devices, self.registered, self.sessions = [], [], []

    def __getattr__(self, name):
        return getattr(self.real, name)

    def SessionOptions(self):  # noqa: N802
        options = self.real.SessionOptions()
        return FakeOptions(options)

    def get_available_providers(self):
        return list(self.available)

    def get_ep_devices(self):
        return self.devices

    def register_execution_provider_library(self, name, library):
        if library == "broken.so":
            raise RuntimeError("Failed to load\nlibrary")
        if name in self.registered:
            raise RuntimeError(f"library is already registered under {name}")
        self.registered.append(name)
        if library == "good.so":
            self.devices += [SimpleNamespace(ep_name=name), SimpleNamespace(ep_name=name)]

    def InferenceSession(self, path, options, **arguments):  # noqa: N802
        self.sessions.append((options, arguments))
        session = self.real.InferenceSession(path, options.real, providers=[CPU])
        asked = [one if isinstance(one, str) else one[0] for one in arguments.get("providers", [])]
        asked += [devices[0].ep_name for devices, _ in options.added]
        session.get_providers = lambda: [*(asked if self.works else []), CPU]
        return session


class FakeOptions:
    def __init__(self, real):
        object.__setattr__(self, "real", real)
        object.__setattr__(self, "added", [])

    def __getattr__(self, name):
        return getattr(self.real, name)

    def __setattr__(self, name, value):
        setattr(self.real, name, value)

    def add_provider_for_devices(self, devices, options):
        self.added.append((devices, options))


@pytest.fixture
def install(monkeypatch):
    """Returns a function that puts a runtime, and perhaps a plugin, in place."""

    def put(runtime, library=None):
        monkeypatch.setattr(session, "import_onnxruntime", lambda: runtime)
        if library is not None:
            plugin = SimpleNamespace(get_ep_name=lambda: PLUGIN, get_library_path=lambda: library)
            monkeypatch.setitem(sys.modules, "onnxruntime_ep_nv_tensorrt_rtx", plugin)
        return runtime

    return put


def inputs():
    return {"tokens": np.zeros((2, TOKENS), np.int64), "labels": np.array([0, len(CLASSES)])}


def test_cuda_runs_with_io_binding_and_without_tensor_float(install, tiny_engine):
    runtime = install(FakeRuntime((CUDA, CPU)))
    graph = make_backend("onnxruntime", 1, "cuda").load(tiny_engine / "backbone.onnx")
    assert runtime.sessions[0][1] == {"providers": [(CUDA, {"use_tf32": "0"})]}
    expected = make_backend("onnxruntime", 1, "cpu").load(tiny_engine / "backbone.onnx")
    for _ in range(2):
        np.testing.assert_array_equal(
            graph.run(inputs())["logits"], expected.run(inputs())["logits"]
        )


def test_a_package_without_cuda_names_the_extra(install, tiny_engine):
    install(FakeRuntime())
    with pytest.raises(MissingExtraError, match=r"onnxruntime-gpu .*adagen-rt\[cuda\]"):
        adagen_rt.load(tiny_engine, provider="cuda")


def test_falling_back_to_the_cpu_is_an_error(install, tiny_engine):
    install(FakeRuntime((CUDA, CPU), works=False))
    with pytest.raises(DeviceError, match="got 'cuda', but ONNX Runtime fell back to CPU"):
        adagen_rt.load(tiny_engine, provider="cuda")


def test_a_plugin_is_registered_once_and_runs_on_its_first_device(install, tiny_engine):
    runtime = install(FakeRuntime(), "good.so")
    for _ in range(2):
        pipeline = adagen_rt.load(tiny_engine, threads=1, provider="nv-tensorrt-rtx")
    assert runtime.registered == [PLUGIN]
    for options, arguments in runtime.sessions:
        assert options.added == [([runtime.devices[0]], {})]
        assert arguments == {}
    expected = adagen_rt.load(tiny_engine, threads=1, provider="cpu").generate([0, 1], [3, 4])
    np.testing.assert_array_equal(pipeline.generate([0, 1], [3, 4]).images, expected.images)


def test_a_plugin_without_a_device_is_an_error_each_time(install):
    runtime = install(FakeRuntime(), "deviceless.so")
    for _ in range(2):
        with pytest.raises(DeviceError, match="nv-tensorrt-rtx: it finds no device"):
            find_provider(runtime, runtime.SessionOptions(), "nv-tensorrt-rtx")


def test_a_plugin_that_cannot_be_loaded_is_one_line(install):
    runtime = install(FakeRuntime(), "broken.so")
    with pytest.raises(DeviceError, match=r"cannot load it: Failed to load$"):
        find_provider(runtime, runtime.SessionOptions(), "nv-tensorrt-rtx")


def test_a_plugin_that_falls_back_is_an_error(install, tiny_engine):
    install(FakeRuntime(works=False), "good.so")
    with pytest.raises(DeviceError, match="got 'nv-tensorrt-rtx', but ONNX Runtime fell back"):
        adagen_rt.load(tiny_engine, provider="nv-tensorrt-rtx")


def test_a_plugin_that_is_not_installed_names_the_extra(tiny_engine, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime_ep_nv_tensorrt_rtx", None)
    with pytest.raises(MissingExtraError, match=r"adagen-rt\[nv-tensorrt-rtx\]"):
        adagen_rt.load(tiny_engine, provider="nv-tensorrt-rtx")


def test_a_plugin_that_nobody_knows_is_told_those_that_there_are(tiny_engine):
    with pytest.raises(InputError, match=r"got .abacus., expected .* cuda, nv-tensorrt-rtx$"):
        adagen_rt.load(tiny_engine, provider="abacus")


@pytest.mark.parametrize("name", ["", "CUDA", "../evil", "a.b", "a_b"])
def test_what_can_be_no_name_is_not_imported(tiny_engine, name):
    runtime = FakeRuntime()
    with pytest.raises(InputError, match="provider: got"):
        find_provider(runtime, runtime.SessionOptions(), name)


def test_an_older_runtime_knows_no_plugins(install):
    runtime = install(FakeRuntime(), "good.so")
    older = SimpleNamespace(__version__="1.20.0")
    with pytest.raises(DeviceError, match=r"got ONNX Runtime 1\.20\.0, expected 1\.24"):
        find_provider(older, runtime.SessionOptions(), "nv-tensorrt-rtx")
