"""Plans that are damaged or made for something else are never deserialised.

Each case runs on a stand-in for the module and, where it is installed, on plans that TensorRT
for RTX built; there, only what would deserialise them is a stand-in.
"""

import json
import os

import fake_tensorrt_runtime
import onnx
import pytest
from manifests import refresh_hashes

from adagen_rt.backends.tensorrt.build import build_plans
from adagen_rt.backends.tensorrt.record import MAX_RECORD_BYTES
from adagen_rt.backends.tensorrt.runtime import Plans
from adagen_rt.engine.folder import open_engine
from adagen_rt.errors import DeviceError, PlanError

BACKEND = "tensorrt-rtx"


@pytest.fixture(params=["stand-in", "tensorrt_rtx"])
def deserialised(request, own_engine, stand_in, gpu, monkeypatch):
    """What has been deserialised; the engine has plans."""
    if request.param == "stand-in":
        seen = stand_in(BACKEND).deserialised
    else:
        module = pytest.importorskip("tensorrt_rtx")
        runtime, seen = fake_tensorrt_runtime.make_runtime(lambda content: object())
        monkeypatch.setattr(module, "Runtime", runtime)
    build_plans(open_engine(own_engine), BACKEND, batches=(1,))
    return seen


@pytest.fixture
def refuse(own_engine, deserialised):
    """Returns a function that expects one line that says what to type, and returns it."""

    def refuse(error=PlanError, intact=0):
        with pytest.raises(error) as caught:
            Plans(open_engine(own_engine), BACKEND)
        assert len(deserialised) == intact
        message = str(caught.value)
        assert "\n" not in message
        if error is PlanError:
            assert message.endswith(f"adagen-rt build {own_engine} --backend {BACKEND}")
        return message

    return refuse


def plan(engine, graph="policy"):
    """The plan that is deserialised first is that of the policy."""
    return engine / "plans" / BACKEND / f"{graph}.plan"


def edit_record(engine, change):
    path = engine / "plans" / BACKEND / "record.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def first_graph(engine):
    return next(iter(open_engine(engine).manifest.graphs))


def test_intact_plans_are_deserialised(own_engine, deserialised):
    Plans(open_engine(own_engine), BACKEND)
    assert len(deserialised) == 3
    assert deserialised[0] == plan(own_engine, first_graph(own_engine)).read_bytes()


@pytest.mark.parametrize("place", [0, 1000, -1])
def test_a_flipped_byte(own_engine, refuse, place):
    path = plan(own_engine, first_graph(own_engine))
    content = bytearray(path.read_bytes())
    content[place % len(content)] ^= 1
    path.write_bytes(content)
    assert f"{path}: it was altered or cut short" in refuse()


def test_a_truncated_plan(own_engine, refuse):
    path = plan(own_engine, first_graph(own_engine))
    os.truncate(path, path.stat().st_size // 2)
    assert f"{path}: it was altered or cut short" in refuse()


def test_a_damaged_plan_that_is_not_the_first(own_engine, refuse):
    path = plan(own_engine, list(open_engine(own_engine).manifest.graphs)[-1])
    os.truncate(path, 0)
    assert str(path) in refuse(intact=2)


def test_a_missing_plan(own_engine, refuse):
    plan(own_engine, first_graph(own_engine)).unlink()
    assert "not a regular file" in refuse()


def test_a_linked_plan(own_engine, refuse, tmp_path):
    path = plan(own_engine, first_graph(own_engine))
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert "not a regular file" in refuse()


def test_a_graph_that_changed_under_its_plan(own_engine, refuse):
    path = own_engine / "decoder.onnx"
    model = onnx.load(path)
    model.doc_string = "changed"
    onnx.save(model, path)
    refresh_hashes(own_engine)
    assert "decoder.onnx is not what the plan of decoder was built from" in refuse()


def test_another_version_of_the_module(own_engine, refuse):
    edit_record(own_engine, lambda record: record.update(version="0.9.0"))
    assert "built by tensorrt-rtx 0.9.0, and 1.7.1" in refuse()


def test_another_gpu(own_engine, refuse):
    edit_record(own_engine, lambda record: record.update(target="8.6"))
    assert "built for compute capability 8.6, and this GPU has 8.9" in refuse()


@pytest.mark.parametrize("capability", ["7.5", "9.0", "10.0"])
def test_a_gpu_that_the_module_does_not_support(gpu, refuse, capability):
    gpu(capability)
    assert f"got a GPU of compute capability {capability}, expected 8.x" in refuse(DeviceError)


def test_no_gpu(own_engine, deserialised, monkeypatch):
    def fail():
        raise DeviceError("no NVIDIA GPU: no driver")

    monkeypatch.setattr("adagen_rt.backends.tensorrt.runtime.compute_capability", fail)
    with pytest.raises(DeviceError, match="no NVIDIA GPU"):
        Plans(open_engine(own_engine), BACKEND)
    assert deserialised == []


def test_no_plans(own_engine, refuse):
    for path in plan(own_engine).parent.iterdir():
        path.unlink()
    assert "record.json: there is no such file" in refuse()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda r: r.update(colour="red"), "colour"),
        (lambda r: r["plans"]["policy"].update(colour="red"), r"plans.policy.colour"),
        (lambda r: r.update(format=2), "format"),
        (lambda r: r.update(target="fast"), "target"),
        (lambda r: r.pop("files"), "files"),
        (lambda r: r["files"].update({"../policy.plan": "0" * 64}), "files"),
        (lambda r: r["plans"]["policy"].update(profiles=[{"features": [-1]}]), "profiles"),
        (lambda r: r["plans"].pop("policy"), "there is no plan of policy"),
        (lambda r: r.update(backend="tensorrt"), "backend: got 'tensorrt', expected"),
    ],
)
def test_a_wrong_record_names_the_field(own_engine, refuse, change, named):
    edit_record(own_engine, change)
    assert named in refuse()


def test_a_plan_without_a_hash(own_engine, refuse):
    name = plan(own_engine, first_graph(own_engine)).name
    edit_record(own_engine, lambda record: record["files"].pop(name))
    assert f"{name}: it was altered" in refuse()


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"[" * 100_000, b"[]", b"null", b""])
def test_a_record_that_is_none(own_engine, refuse, content):
    (plan(own_engine).parent / "record.json").write_bytes(content)
    assert "record.json" in refuse()


def test_a_huge_record_is_not_read(own_engine, refuse):
    (plan(own_engine).parent / "record.json").write_bytes(b" " * (MAX_RECORD_BYTES + 1))
    assert "larger than" in refuse()
