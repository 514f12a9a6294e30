import json
import shutil

import pytest
from tiny_engine import STEPS

from adagen_rt.engine.folder import sha256, shipped_engines


@pytest.fixture
def described(run):
    def invoke(*folders):
        done = run("list", "--json", *folders)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    return invoke


def test_shipped_engines_are_listed(described):
    names = [engine["name"] for engine in described()["engines"]]
    assert set(names) == set(shipped_engines())


def test_an_engine_and_a_folder_of_engines(described, tiny_engine, tmp_path):
    for name in ("one", "two"):
        shutil.copytree(tiny_engine, tmp_path / name)
    (tmp_path / "two" / "policy.onnx").unlink()
    shipped = len(shipped_engines())
    tiny, one, two = described(tiny_engine, tmp_path)["engines"][shipped:]
    assert tiny["steps"] == STEPS
    assert tiny["schedules"] == ["policy", "static"]
    assert tiny["engine_hash"] == sha256(tiny_engine / "manifest.json")
    assert tiny["plans"] == []
    assert one["path"] == str(tmp_path / "one")
    assert "policy.onnx" in two["fault"]


def test_what_a_killed_writer_left_is_no_engine(described, tiny_engine, tmp_path):
    for name in ("one", ".one.adagen-abc_1234"):
        shutil.copytree(tiny_engine, tmp_path / name)
    assert [
        engine["path"] for engine in described(tmp_path)["engines"][len(shipped_engines()) :]
    ] == [str(tmp_path / "one")]


def test_the_cache(described, tmp_path, monkeypatch):
    monkeypatch.setenv("ADAGEN_CACHE", str(tmp_path))
    (tmp_path / "adagen-rt").mkdir()
    (tmp_path / "adagen-rt" / "kernels").write_bytes(b"12345")
    cache = described()["cache"]
    assert cache == {"path": str(tmp_path / "adagen-rt"), "files": 1, "bytes": 5}


def test_a_page_for_people(run, tiny_engine):
    page = run("list", tiny_engine).stdout
    for text in ("tiny", "maskgit", "4 x 4 x 1", "policy, static", str(tiny_engine), "cache: "):
        assert text in page


def test_a_folder_without_engines(refuse, tmp_path):
    assert "FOLDERS: got" in refuse("list", tmp_path)
