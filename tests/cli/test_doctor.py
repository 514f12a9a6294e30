import json
import sys
from importlib import metadata
from pathlib import Path

import pytest

import adagen_rt
from adagen_rt import system
from adagen_rt.backends.onnxruntime import session
from adagen_rt.errors import KernelsError


def pretend_installed(monkeypatch, *packages):
    real = metadata.version

    def version(name):
        if name in session.PACKAGES and name not in packages:
            raise metadata.PackageNotFoundError(name)
        return "1.20.0" if name in packages else real(name)

    monkeypatch.setattr(system.metadata, "version", version)


def test_a_working_install(run):
    done = run("doctor")
    assert done.exit_code == 0
    assert "CPUExecutionProvider" in done.stdout
    assert "ready" in done.stdout


def test_the_same_as_json(run):
    found = json.loads(run("doctor", "--json").stdout)
    assert found["usable"] is True
    assert found["kernels"]["problem"] is None
    assert "_kernels" in found["kernels"]["file"]
    assert found["cpu"]["threads"] >= 1


@pytest.mark.parametrize(
    ("packages", "typed"),
    [
        ((), "pip install 'adagen-rt[cpu]'"),
        (("onnxruntime", "onnxruntime-gpu"), "pip uninstall -y onnxruntime onnxruntime-gpu"),
    ],
)
def test_a_wrong_install_says_what_to_type(run, monkeypatch, packages, typed):
    pretend_installed(monkeypatch, *packages)
    done = run("doctor")
    assert done.exit_code == 1
    assert typed in done.stdout
    assert "not possible" in done.stdout


def test_missing_kernels_say_what_to_type(run, monkeypatch):
    def fail():
        raise KernelsError("no kernels")

    monkeypatch.setattr("adagen_rt.cli.support.checkup.load_kernels", fail)
    done = run("doctor", "--json")
    assert done.exit_code == 1
    root = Path(adagen_rt.__file__).resolve().parents[1]
    typed = root if (root / "pyproject.toml").is_file() else "--force-reinstall adagen-rt"
    problem = json.loads(done.stdout)["kernels"]["problem"]
    assert problem == f"no kernels; type: pip install {typed}"


def test_tensorrt_modules_and_the_gpu(run, stand_in, monkeypatch):
    stand_in("tensorrt-rtx")
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    monkeypatch.setattr("adagen_rt.cli.support.checkup.compute_capability", lambda: "8.9")
    page = run("doctor").stdout
    assert "compute capability 8.9" in page
    assert "pip install 'adagen-rt[tensorrt]'" in page
    found = json.loads(run("doctor", "--json").stdout)
    assert found["gpu"] == {"compute_capability": "8.9", "problem": None}
    assert found["backends"]["tensorrt-rtx"] == {
        "module": "tensorrt_rtx",
        "version": "1.7.1",
        "problem": None,
    }
    assert found["backends"]["tensorrt"]["version"] is None


def test_a_machine_without_a_gpu(run, monkeypatch):
    monkeypatch.setattr("adagen_rt.backends.gpu.DRIVER", "libnothing.so.1")
    done = run("doctor")
    assert done.exit_code == 0
    assert "no NVIDIA GPU" in done.stdout


def test_everything_optional_is_listed(run, monkeypatch):
    monkeypatch.setattr(
        "adagen_rt.cli.support.checkup.installed_plugins", lambda: {"nv-tensorrt-rtx": "0.5"}
    )
    page = run("doctor").stdout
    assert all(name in page for name in ("openvino", "onnx-ir", "cuda-bindings"))
    assert "nv-tensorrt-rtx 0.5" in page
    found = json.loads(run("doctor", "--json").stdout)
    assert found["plugins"] == {"nv-tensorrt-rtx": "0.5"}
    assert set(found["backends"]["openvino"]) == {"version", "precisions", "problem"}
