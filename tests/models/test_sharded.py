import json

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import save_file

from adagen_rt.errors import CheckpointError
from adagen_rt.models.checkpoint import load_state, load_weights
from adagen_rt.models.located import locate

SHARDS = [f"net-0000{part}-of-00002.safetensors" for part in (1, 2)]


@pytest.fixture
def linear(tmp_path):
    """Weights of a layer in two shards, with their list."""
    state = torch.nn.Linear(3, 2).state_dict()
    for name, (key, value) in zip(SHARDS, state.items(), strict=True):
        save_file({key: value}, tmp_path / name)
    index(tmp_path, dict(zip(state, SHARDS, strict=True)))
    return state


def index(folder, places):
    content = {"metadata": {"total_size": 1}, "weight_map": places}
    (folder / "net.safetensors.index.json").write_text(json.dumps(content))
    return folder / "net.safetensors.index.json"


def test_shards_are_one_file(tmp_path, linear):
    module = torch.nn.Linear(3, 2)
    load_weights(module, locate([tmp_path], "net.safetensors"))
    assert all(torch.equal(module.state_dict()[name], linear[name]) for name in linear)


def test_shards_of_pickles_are_read(tmp_path):
    torch.save({"weight": torch.ones(1)}, tmp_path / "a.bin")
    assert load_state(index(tmp_path, {"weight": "a.bin"})).keys() == {"weight"}


def test_what_is_missing_is_told(tmp_path, linear):
    path = index(tmp_path, {"weight": SHARDS[0], "bias": SHARDS[0]})
    with pytest.raises(CheckpointError, match=rf"{SHARDS[0]}: lacks bias"):
        load_state(path)
    (tmp_path / SHARDS[0]).unlink()
    with pytest.raises(CheckpointError, match=rf"1 of its 1 files are missing: {SHARDS[0]}"):
        load_state(path)


@pytest.mark.parametrize(
    "name", ["../a.safetensors", "/etc/a.bin", "b/a.bin", "c:\\\\a.bin", 3, "a.index.json"]
)
def test_a_shard_lies_beside_its_list(tmp_path, name):
    with pytest.raises(CheckpointError, match="expected a file beside it"):
        load_state(index(tmp_path, {"weight": name}))


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"weight_map": 3}', '{"weight_map": {}}', "[" * 9999]
)
def test_what_is_not_a_list_of_shards_is_refused(tmp_path, text):
    (tmp_path / "x.index.json").write_text(text)
    with pytest.raises(CheckpointError, match="list of"):
        load_state(tmp_path / "x.index.json")
