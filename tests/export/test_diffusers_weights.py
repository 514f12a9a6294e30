"""Weights of pipelines' folders: what is read, and what is refused before a graph is made."""

import json
import logging

import numpy as np
import pytest

diffusers = pytest.importorskip("diffusers")
pytest.importorskip("transformers")

import torch
from safetensors.torch import load_file, save_file
from tiny_pipelines import change, save_pipeline

from adagen_rt.errors import CheckpointError
from adagen_rt.export.diffusers import export_pipeline
from adagen_rt.export.diffusers.folder import open_pipeline
from adagen_rt.export.diffusers.graphs import Decoder
from adagen_rt.export.diffusers.quiet import quiet_libraries

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def folder(tmp_path):
    return save_pipeline("dit", tmp_path / "dit")


def rewrite(path, change):
    tensors = load_file(path)
    save_file(change(tensors), path, metadata={"format": "pt"})


def weights_of(folder, part):
    (path,) = (folder / part).glob("*.safetensors")
    return path


@pytest.mark.parametrize("part", ["text_encoder", "transformer"])
def test_weights_that_are_missing_are_not_made_up(tmp_path, part):
    """Both libraries fill them with noise."""
    folder = save_pipeline("pixart", tmp_path / "pixart")
    rewrite(weights_of(folder, part), lambda w: {f"module.{name}": w[name] for name in w})
    with pytest.raises(CheckpointError, match=f"{part}: the weights lack [0-9]+ tensors"):
        open_pipeline(folder).load(part)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda value: value.to(torch.int8), "got the dtype I8, expected floating point"),
        (lambda value: value * float("nan"), "not finite: "),
    ],
)
def test_weights_of_no_use_are_refused(folder, spoil, told):
    rewrite(weights_of(folder, "vae"), lambda w: {name: spoil(w[name]) for name in w})
    with pytest.raises(CheckpointError, match=told):
        open_pipeline(folder).load("vae")


@pytest.mark.parametrize(("part", "word"), [("text_encoder", "shared"), ("transformer", "bias")])
def test_weights_of_other_sizes_are_named(tmp_path, part, word):
    folder = save_pipeline("pixart", tmp_path / "pixart")
    rewrite(
        weights_of(folder, part), lambda w: {k: v[1:] if word in k else v for k, v in w.items()}
    )
    with pytest.raises(CheckpointError, match=rf"{part}.*{word}.* (got )?shape .*\["):
        open_pipeline(folder).load(part)


def test_two_variants_are_not_guessed_between(folder):
    path = weights_of(folder, "vae")
    for variant in ("fp16", "bf16"):
        path.with_suffix(f".{variant}.safetensors").write_bytes(path.read_bytes())
    path.unlink()
    with pytest.raises(
        CheckpointError, match=r"vae: got no weights.* one variant \(fp16 or bf16\)"
    ):
        open_pipeline(folder).load("vae")


def test_files_of_weights_are_checked_before_a_graph_is_made(folder, tmp_path):
    weights = weights_of(folder, "transformer")
    content = weights.read_bytes()
    weights.write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError, match=r"safetensors: not a valid safetensors file"):
        export_pipeline(folder, tmp_path / "out")
    weights.unlink()
    with pytest.raises(CheckpointError, match="transformer: got no weights, expected files"):
        export_pipeline(folder, tmp_path / "out")
    shards = {"weight_map": {"a": "diffusion_pytorch_model-00001-of-00001.safetensors"}}
    weights.with_name(f"{weights.name}.index.json").write_text(json.dumps(shards))
    with pytest.raises(CheckpointError, match=r"index.json: 1 of its 1 files are missing"):
        export_pipeline(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def shards_of(folder, part, end="safetensors"):
    """Split a part's weights in two; return the list of the two."""
    path = weights_of(folder, part)
    tensors = load_file(path)
    places = {name: f"{path.stem}-0000{1 + i % 2}.{end}" for i, name in enumerate(tensors)}
    for name in set(places.values()):
        mine = {key: tensors[key] for key, place in places.items() if place == name}
        if end == "safetensors":
            save_file(mine, folder / part / name, metadata={"format": "pt"})
        else:
            torch.save(mine, folder / part / name)
    path.unlink()
    index = path.with_name(f"{path.name}.index.json")
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return index


def test_shards_are_the_whole(folder):
    whole = open_pipeline(folder).load("vae").state_dict()
    shards_of(folder, "vae")
    torch.testing.assert_close(
        open_pipeline(folder).load("vae").state_dict(), whole, rtol=0, atol=0
    )


def test_pickled_shards_are_not_read(folder):
    """The library reads a shard as its own name says, whatever the name of the list."""
    index = shards_of(folder, "vae", "bin")
    with pytest.raises(CheckpointError, match=r"-00001\.bin, .*expected files \*\.safetensors"):
        open_pipeline(folder).load("vae")
    places = json.loads(index.read_text())["weight_map"]
    change(index, weight_map=dict.fromkeys(places, "../../weights.safetensors"))
    with pytest.raises(CheckpointError, match=r"'\.\./\.\./weights.*expected a file beside it"):
        open_pipeline(folder).load("vae")


def test_a_list_of_shards_is_one_that_the_libraries_read(folder):
    change(shards_of(folder, "vae"), metadata=5)
    with pytest.raises(CheckpointError, match=r"index.json: metadata: got 5, expected an object"):
        open_pipeline(folder).load("vae")


@pytest.mark.parametrize("part", ["text_encoder", "transformer"])
def test_weights_that_the_network_has_no_use_for(tmp_path, part):
    """Such as scales of others' numbers, or layers that the configuration does not count."""
    folder = save_pipeline("pixart", tmp_path / "pixart")
    idle = {"lm_head.weight": torch.ones(2), "a.position_ids": torch.arange(3)}
    rewrite(weights_of(folder, part), lambda w: w | idle)
    open_pipeline(folder).load(part)
    rewrite(weights_of(folder, part), lambda w: w | {"layers.9.weight_scale": torch.ones(2)})
    with pytest.raises(CheckpointError, match=rf"{part}: the weights have layers.9.weight_scale,"):
        open_pipeline(folder).load(part)


def test_only_what_the_pipeline_adds_to_latents_is_added(folder):
    change(folder / "vae" / "config.json", shift_factor=0.5)
    source = open_pipeline(folder)
    assert Decoder(source.adapter, source.load("vae")).shift == 0


def test_pickled_weights_are_not_read(folder):
    weights = folder / "vae" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(CheckpointError, match=r"vae: .*safetensors"):
        open_pipeline(folder).load("vae")


def test_loading_is_quiet_and_leaves_the_libraries_as_they_were(folder, capfd):
    import transformers

    switches = [library.utils.logging for library in (diffusers, transformers)]

    def state():
        return [(one.get_verbosity(), one.is_progress_bar_enabled()) for one in switches]

    before = state()
    open_pipeline(folder).load("transformer")
    assert capfd.readouterr() == ("", "")
    with quiet_libraries(("diffusers", "transformers")):
        assert state() == [(logging.CRITICAL, False)] * 2
    assert state() == before


def test_seeded_weights_need_no_files(folder):
    weights = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    weights.unlink()
    first, second = (open_pipeline(folder, "a").load("transformer") for _ in range(2))
    other = open_pipeline(folder, "b").load("transformer")
    values = [network.proj_out_2.weight.numpy() for network in (first, second, other)]
    assert np.array_equal(*values[:2])
    assert not np.array_equal(*values[1:])
