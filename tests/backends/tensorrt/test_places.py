"""Where plans are built to, and where they are found."""

import os
import shutil

import pytest
import running_tensorrt
from manifests import refresh_hashes

import adagen_rt
from adagen_rt.backends.tensorrt import places
from adagen_rt.backends.tensorrt.build import build_plans
from adagen_rt.backends.tensorrt.places import find_folder
from adagen_rt.engine import folder as engine_folder
from adagen_rt.engine.folder import open_engine
from adagen_rt.errors import InputError, PlanError
from adagen_rt.system import cache_folder

BACKEND = "tensorrt"


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    running_tensorrt.install(monkeypatch)
    monkeypatch.setenv("ADAGEN_CACHE", str(tmp_path / "cache"))
    return cache_folder() / "plans"


@pytest.fixture
def shipped(own_engine, monkeypatch):
    monkeypatch.setattr(engine_folder, "shipped_engines", lambda: {"tiny": own_engine})
    return own_engine


@pytest.fixture
def read_only(own_engine, monkeypatch):
    """An engine in a folder that cannot be written to, for a user who is not root."""
    access = os.access
    monkeypatch.setattr(places.os, "access", lambda path, m: path != own_engine and access(path, m))
    return own_engine


@pytest.mark.parametrize("kind", ["shipped", "read_only"])
def test_plans_go_to_the_cache_and_run_from_there(request, kind, cache):
    path = request.getfixturevalue(kind)
    engine = open_engine(path)
    folder = build_plans(engine, BACKEND, batches=(1,))
    assert folder == cache / f"tiny-{engine.hash[:16]}" / BACKEND
    assert not (path / "plans").exists()
    assert adagen_rt.load(path, backend=BACKEND).generate([0], [1]).good == [0]


def test_an_engine_of_ones_own_has_them_beside_it(own_engine, cache):
    assert build_plans(open_engine(own_engine), BACKEND, batches=(1,)).parent.parent == own_engine
    assert not cache.exists()


def test_those_of_another_engine_are_never_taken(shipped):
    before = build_plans(open_engine(shipped), BACKEND, batches=(1,))
    path = shipped / "decoder.onnx"
    path.write_bytes(path.read_bytes() + b"\x32\x01x")
    refresh_hashes(shipped)
    after = find_folder(open_engine(shipped), BACKEND)
    assert after.name == before.name
    assert after != before
    with pytest.raises(PlanError, match=r"there is no such file; build the plans again with"):
        adagen_rt.load(shipped, backend=BACKEND)


def test_older_plans_beside_an_engine_that_became_read_only(own_engine, request):
    built = build_plans(open_engine(own_engine), BACKEND, batches=(1,))
    request.getfixturevalue("read_only")
    assert find_folder(open_engine(own_engine), BACKEND) == built
    again = build_plans(open_engine(own_engine), BACKEND, batches=(1,))
    assert find_folder(open_engine(own_engine), BACKEND) == again != built


def test_a_folder_of_ones_own_serves_several_engines(own_engine, static_engine, tmp_path):
    root = tmp_path / "plans of mine"
    two = shutil.copytree(static_engine, tmp_path / "two")
    for path in (own_engine, two):
        build_plans(open_engine(path), BACKEND, batches=(1,), out=root)
    assert len(list(root.iterdir())) == 2
    for path in (own_engine, two):
        assert not (path / "plans").exists()
        assert adagen_rt.load(path, backend=BACKEND, plans=root).generate([0], [1]).good == [0]


def test_advice_names_the_folder(own_engine, tmp_path):
    with pytest.raises(PlanError, match=f"--out {tmp_path}$"):
        adagen_rt.load(own_engine, backend=BACKEND, plans=tmp_path)


@pytest.mark.parametrize(
    ("backend", "named"),
    [("onnxruntime", "none with the backend onnxruntime"), (BACKEND, "build --out wrote")],
)
def test_a_folder_that_cannot_be_meant(own_engine, tmp_path, backend, named):
    with pytest.raises(InputError, match=f"plans: .*{named}"):
        adagen_rt.load(own_engine, backend=backend, plans=tmp_path / "nothing")
