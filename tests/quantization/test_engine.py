import json
import shutil

import numpy as np
import pytest

pytest.importorskip("onnx_ir", reason="needs the extra int8")

from adagen_rt import load
from adagen_rt.engine.folder import open_engine
from adagen_rt.errors import InputError
from adagen_rt.quantization import quantize_engine

#: Engines and what is left of their backbones; most of DiT's stays float32.
ENGINES = {"fashion-maskgit": 0.45, "fashion-dit": 0.8, "fashion-var": 0.45}


@pytest.fixture(scope="module", params=ENGINES)
def twins(request, tmp_path_factory):
    original = open_engine(request.param)
    out = tmp_path_factory.mktemp("int8") / request.param
    return original, quantize_engine(original, out)


def test_the_twin_is_smaller_and_says_what_it_is(twins):
    original, twin = twins
    assert twin.manifest.dtype == "int8"
    assert twin.manifest.name == f"{original.manifest.name}-int8"
    assert twin.manifest.family == original.manifest.family
    sizes = [(e.graph_file("backbone")).stat().st_size for e in twins]
    assert sizes[1] < ENGINES[original.manifest.name] * sizes[0]
    for name in ("backbone", "decoder"):
        assert 1e-3 < twin.manifest.graphs[name].error < 0.5
    policies = [engine.graph_file("policy").read_bytes() for engine in twins]
    assert policies[0] == policies[1]


def test_the_card_lists_every_kind(twins):
    _, twin = twins
    card = (twin.path / "README.md").read_text()
    assert twin.manifest.name in card
    assert "| int8 |" in card
    layers = card.split("## Whole generations")[1]
    rows = [line for line in layers.splitlines() if line.startswith("| `")]
    shares = [float(row.split("|")[2].rstrip(" %")) for row in rows]
    graphs = layers.count("\n## ")
    assert sum(shares) == pytest.approx(100 * graphs, abs=1)
    assert "README.md" not in twin.manifest.files


def test_the_prediction_of_a_diffusion_stays_exact(tmp_path):
    original = open_engine("fashion-sit")
    limit = original.manifest.family.prediction_limit
    assert limit == 0.0035
    twin = quantize_engine(original, tmp_path / "twin")
    card = (twin.path / "README.md").read_text()
    backbone = card.split("## backbone")[1]
    error = float(backbone.split("Error of the whole graph ")[1].split(",")[0])
    assert 1e-4 < error < 1.5 * limit  # errors are not quite independent
    assert "| int8 |" in backbone


def test_images_are_nearly_those_of_the_original(twins):
    labels, seeds = list(range(8)), list(range(8))
    one, other = (
        load(engine.path, threads=2).generate(labels, seeds, schedule="static").images.astype(float)
        for engine in twins
    )
    difference = np.sqrt(np.mean((one - other) ** 2))
    # Two unrelated sets of images are about 90 apart; tokens that flip change a patch.
    assert 0 < difference < 30


def test_a_sample_alone_is_the_one_in_a_batch(twins):
    pipeline = load(twins[1].path, threads=2)
    together = pipeline.generate([3, 1, 4], [7, 8, 9]).images
    alone = pipeline.generate([1], [8]).images
    assert np.abs(together[1:2].astype(int) - alone).max() <= 1


def test_a_twin_of_a_twin_is_refused(twins, tmp_path):
    with pytest.raises(InputError, match="engine: got 'int8', expected an engine of dtype float32"):
        quantize_engine(twins[1], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_not_overwritten(tmp_path):
    (tmp_path / "mine").write_text("x")
    with pytest.raises(InputError, match="out"):
        quantize_engine(open_engine("fashion-dit"), tmp_path)
    assert (tmp_path / "mine").read_text() == "x"


def test_external_weights_are_read_and_carried_along(tmp_path, monkeypatch):
    """An engine as large ones are: weights beside the graphs."""
    import onnx

    source = open_engine("fashion-dit")
    folder = tmp_path / "large"
    shutil.copytree(source.path, folder)
    (folder / "README.md").unlink(missing_ok=True)
    for name in ("backbone", "decoder"):
        model = onnx.load(folder / f"{name}.onnx")
        onnx.save(
            model,
            folder / f"{name}.onnx",
            save_as_external_data=True,
            location=f"{name}.data",
            size_threshold=4096,
        )
    manifest = json.loads((folder / "manifest.json").read_text())
    from adagen_rt.engine.folder import sha256

    manifest["files"] = {
        path.name: sha256(path) for path in folder.iterdir() if path.name != "manifest.json"
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    monkeypatch.setattr("adagen_rt.engine.precision.INLINE_BYTES", 1 << 16)
    twin = quantize_engine(open_engine(folder), tmp_path / "twin")
    assert (twin.path / "backbone.data").is_file()
    assert (twin.path / "decoder.data").is_file()
    small = quantize_engine(source, tmp_path / "small")
    images = [load(e.path, threads=1).generate([5], [1]).images for e in (twin, small)]
    np.testing.assert_array_equal(*images)
