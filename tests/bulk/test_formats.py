"""Shards are what the libraries for them read, and all of them make one array."""

import base64
import io
import json

import numpy as np
import pytest
from bulk_job import COUNT, SHARDS
from PIL import Image
from process import run_python

import adagen_rt

CLASSES = [number % 3 for number in range(COUNT)]


@pytest.fixture(scope="module")
def images(tiny_engine):
    return adagen_rt.load(tiny_engine, threads=1).generate(CLASSES, range(COUNT)).images


def pixels(content):
    return np.asarray(Image.open(io.BytesIO(content)))[..., None]


@pytest.mark.parametrize("kind", ["npz", "tar", "parquet", "folder"])
def test_all_shards_are_merged_in_order(bulk, images, tmp_path, kind):
    if kind == "parquet":
        pytest.importorskip("pyarrow", reason="needs the extra bulk")
    bulk("--format", kind, "--merge", "all.npz")
    with np.load(tmp_path / "all.npz") as arrays:
        assert arrays.files == ["arr_0"]
        assert arrays["arr_0"].dtype == np.uint8
        np.testing.assert_array_equal(arrays["arr_0"], np.repeat(images, 3, axis=3))


@pytest.mark.parametrize("kind", ["npz", "tar", "parquet"])
@pytest.mark.parametrize("damage", [b"", b"mine" * 300])
def test_a_damaged_shard_is_named(bulk, tmp_path, kind, damage):
    if kind == "parquet":
        pytest.importorskip("pyarrow", reason="needs the extra bulk")
    bulk("--format", kind)
    (tmp_path / f"out/shard-00002.{kind}").write_bytes(damage)
    line = bulk("--format", kind, "--merge", "all.npz", status=2).stderr
    assert f"merge: got 'out/shard-00002.{kind}', expected a whole shard" in line
    assert not (tmp_path / "all.npz").exists()


READ = """
import base64, json, sys, webdataset
for sample in webdataset.WebDataset(sys.argv[1:], shardshuffle=False):
    texts = {name: value.decode() for name, value in sample.items() if name in ("cls", "json")}
    png = base64.b64encode(sample["png"]).decode()
    print(json.dumps({**texts, "key": sample["__key__"], "png": png}))
"""


def test_webdataset_reads_a_tar(bulk, images, tmp_path):
    pytest.importorskip("webdataset", reason="needs webdataset")
    bulk("--format", "tar")
    # In a process of its own, for it leaves files open.
    done = run_python(READ, *sorted((tmp_path / "out").glob("*.tar")))
    assert done.returncode == 0, done.stderr
    samples = [json.loads(line) for line in done.stdout.splitlines()]
    assert [int(sample["key"]) for sample in samples] == list(range(COUNT))
    assert [int(sample["cls"]) for sample in samples] == CLASSES
    assert [json.loads(one["json"])["samples"][0]["seed"] for one in samples] == list(range(COUNT))
    found = np.stack([pixels(base64.b64decode(sample["png"])) for sample in samples])
    np.testing.assert_array_equal(found, images)


def test_a_parquet_has_pictures_and_columns(bulk, images, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra bulk")
    bulk("--format", "parquet")
    tables = [parquet.read_table(path) for path in sorted((tmp_path / "out").glob("*.parquet"))]
    assert len(tables) == SHARDS
    rows = [row for table in tables for row in table.to_pylist()]
    assert [row["label"] for row in rows] == CLASSES
    assert [row["index"] for row in rows] == [row["seed"] for row in rows] == list(range(COUNT))
    np.testing.assert_array_equal(np.stack([pixels(row["image"]["bytes"]) for row in rows]), images)
    about = tables[0].schema.metadata
    features = json.loads(about[b"huggingface"])["info"]["features"]
    assert features["image"] == {"_type": "Image"}
    assert json.loads(about[b"adagen_rt"])["engine"] == "tiny"


def test_a_folder_s_pictures_say_how_they_were_made(bulk, run_repeat, tmp_path):
    bulk("--format", "folder")
    names = sorted(path.name for path in (tmp_path / "out/shard-00003").iterdir())
    assert names == ["09-label0-seed9.png", "10-label1-seed10.png", "shard.json"]
    assert run_repeat("out/shard-00003/10-label1-seed10.png").shape == (1, 4, 4, 1)


@pytest.fixture
def run_repeat(tiny_engine, tmp_path):
    from click.testing import CliRunner

    from adagen_rt.cli import main

    def repeat(path):
        given = ["generate", "--repeat", path, "--engine", str(tiny_engine), "--out", "again.npz"]
        done = CliRunner().invoke(main, given)
        assert done.exit_code == 0, done.output
        return np.load(tmp_path / "again.npz")["images"]

    return repeat
