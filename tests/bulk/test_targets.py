"""Shards go to whatever fsspec reaches, and appear there whole."""

import json
import threading

import numpy as np
import pytest
from bulk_job import digest

from adagen_rt.bulk.targets import FolderTarget, open_target
from adagen_rt.files import create_file

fsspec = pytest.importorskip("fsspec", reason="needs the extra bulk")


@pytest.fixture
def store():
    """An object store in this process's memory."""
    from fsspec.implementations.memory import MemoryFileSystem

    MemoryFileSystem.store.clear()
    yield fsspec.filesystem("memory")
    MemoryFileSystem.store.clear()


def fetched(store, tmp_path):
    store.get("/job", str(tmp_path / "fetched"), recursive=True)
    return digest(tmp_path / "fetched")


@pytest.mark.parametrize("kind", ["npz", "folder"])
def test_an_object_store_gets_the_same_bytes(bulk, store, tmp_path, kind):
    bulk("--format", kind)
    for rank in (1, 0):
        more = ("--out", "memory://job", "--rank", rank, "--world", 2)
        bulk("--format", kind, *more)
    assert fetched(store, tmp_path) == digest(tmp_path / "out")
    done = bulk("--format", kind, "--out", "memory://job", "--merge", "all.npz", "--json")
    assert json.loads(done.stdout)["made"] == 0
    assert len(np.load(tmp_path / "all.npz")["arr_0"]) == 11


@pytest.fixture
def bucket(monkeypatch):
    """A bucket of a server that speaks S3, on loopback; gives its URL."""
    pytest.importorskip("s3fs", reason="needs s3fs")
    moto = pytest.importorskip("moto.server", reason="needs moto[s3,server]")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "nobody")
    server = moto.ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    options = {"endpoint_url": f"http://{host}:{port}"}
    monkeypatch.setitem(fsspec.config.conf, "s3", options)
    store = fsspec.filesystem("s3")
    store.mkdir("bucket")
    yield "s3://bucket/job"
    store.clear_instance_cache()
    server.stop()


@pytest.mark.filterwarnings("ignore")  # of the packages that make the server and ask it
def test_a_store_that_speaks_s3_gets_the_same_bytes(bulk, bucket, tmp_path):
    bulk("--format", "folder")
    bulk("--format", "folder", "--out", bucket, "--rank", 1, "--world", 2)
    store = fsspec.filesystem("s3")
    store.rm(f"{bucket}/shard-00001/shard.json")  # what a process that died has left
    done = bulk("--format", "folder", "--out", bucket, "--merge", "all.npz", "--json")
    assert json.loads(done.stdout)["missing"] == 0
    store.get(bucket, str(tmp_path / "fetched"), recursive=True)
    assert digest(tmp_path / "fetched") == digest(tmp_path / "out")
    line = bulk("--format", "folder", "--out", bucket, "--seed", 4, status=2).stderr
    assert f"seed: got 4, expected 0, as {bucket}/bulk.json has it" in line


def test_another_job_there_is_refused(bulk, store):
    bulk("--out", "memory://job")
    line = bulk("--out", "memory://job", "--seed", 4, status=2).stderr
    assert "seed: got 4, expected 0, as memory://job/bulk.json has it" in line


def test_half_a_folder_there_is_no_shard(bulk, store):
    bulk("--format", "folder", "--out", "memory://job")
    store.rm("/job/shard-00001/shard.json")
    done = bulk("--format", "folder", "--out", "memory://job", "--json")
    assert json.loads(done.stdout)["made"] == 1


def test_elsewhere_an_upload_is_renamed_when_it_is_complete(store, monkeypatch):
    target = open_target("memory://job")
    monkeypatch.setattr(target, "_protocol", "sftp")
    seen = []
    monkeypatch.setattr(target._files, "mv", lambda *pair: seen.append(pair))
    target.put("a.npz", lambda path: path.write_bytes(b"x"), None)
    ((part, place),) = seen
    assert place == "/job/a.npz"
    assert target._files.cat_file(part) == b"x"


def test_a_file_url_is_a_folder(tmp_path):
    target = open_target(f"file://{tmp_path}/x")
    assert isinstance(target, FolderTarget)
    assert target.folder == tmp_path / "x"


@pytest.mark.parametrize("links", [True, False])
def test_of_many_that_begin_together_one_writes_the_record(tmp_path, monkeypatch, links):
    def refuse(source, target):
        raise PermissionError(1, "Operation not permitted", str(target))

    if not links:
        monkeypatch.setattr("os.link", refuse)
        create_file(tmp_path / "one", b"0")
        assert (tmp_path / "one").read_bytes() == b"0"
        return
    read, target = [], FolderTarget(tmp_path / "job")
    threads = [
        threading.Thread(target=lambda text=text: read.append(target.claim("record", text)))
        for text in (bytes([number]) * 1000 for number in range(8))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read) == 8
    assert len(set(read)) == 1
    assert [path.name for path in (tmp_path / "job").iterdir()] == ["record"]
