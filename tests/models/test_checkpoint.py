import os
import pickle
import struct
import zipfile
from argparse import Namespace
from datetime import datetime, timedelta, timezone
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import save_file

from adagen_rt.errors import CheckpointError
from adagen_rt.models.checkpoint import (
    MAX_HEADER,
    load_state,
    load_strict,
    load_weights,
    read_file,
)
from adagen_rt.models.held import MAX_PREFIXES, find_held
from adagen_rt.models.pickled import Inert


class Payload:
    """Unpickles by running code that would leave a file behind."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def write_safetensors(path, header, length=None):
    path.write_bytes(struct.pack("<Q", len(header) if length is None else length) + header)
    return path


@pytest.fixture
def state():
    return {"weight": torch.randn(3, 2), "bias": torch.randn(3)}


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pt", ".ckpt"])
def test_round_trip(tmp_path, state, suffix):
    path = tmp_path / f"w{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(state, path)
    loaded = load_state(path)
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[name], state[name]) for name in state)


def test_old_format_is_read(tmp_path, state):
    torch.save(state, tmp_path / "w.pth", _use_new_zipfile_serialization=False)
    assert load_state(tmp_path / "w.pth").keys() == state.keys()


@pytest.mark.parametrize(
    "wrap",
    [
        lambda good, bad: {"state_dict": good, "epoch": 3},
        lambda good, bad: {"model": bad, "ema": good, "opt": {}},
        lambda good, bad: {"model": {"state_dict": good}},
    ],
)
def test_wrappers_are_opened(tmp_path, state, wrap):
    torch.save(wrap(state, {"other": torch.zeros(1)}), tmp_path / "w.pt")
    assert load_state(tmp_path / "w.pt").keys() == state.keys()


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_runs_code_is_refused(tmp_path, state, zipped):
    mark, path = tmp_path / "ran", tmp_path / "w.pth"
    held = state | {"extra": Payload(mark)}
    torch.save(held, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=r"could run code.*mkdir") as caught:
        load_state(path)
    assert "\n" not in str(caught.value)
    assert not mark.exists()


def test_a_bare_pickle_that_runs_code_is_refused(tmp_path):
    mark, path = tmp_path / "ran", tmp_path / "w.ckpt"
    path.write_bytes(pickle.dumps(Payload(mark)))
    with pytest.raises(CheckpointError):
        load_state(path)
    assert not mark.exists()


def test_a_compressed_archive_is_refused(tmp_path, state):
    torch.save({"weight": torch.zeros(1 << 16)}, tmp_path / "plain.pth")
    with (
        zipfile.ZipFile(tmp_path / "plain.pth") as plain,
        zipfile.ZipFile(tmp_path / "w.pth", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    with pytest.raises(CheckpointError, match="archive"):
        load_state(tmp_path / "w.pth")


@pytest.mark.parametrize("keep", [0, 7, 100, -30])
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_truncated_file_is_one_error(tmp_path, state, suffix, keep):
    path = tmp_path / f"w{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(state, path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match="w"):
        load_state(path)


@pytest.mark.parametrize("length", [1 << 62, 2**64 - 1, 64])
def test_a_header_longer_than_the_file_is_refused(tmp_path, length):
    with pytest.raises(CheckpointError, match="header"):
        load_state(write_safetensors(tmp_path / "w.safetensors", b"{}", length))


def test_a_bloated_header_is_refused_before_it_is_parsed(tmp_path, monkeypatch):
    path = write_safetensors(tmp_path / "w.safetensors", b"{}" + b" " * MAX_HEADER)
    monkeypatch.setattr("adagen_rt.models.checkpoint.load_file", None)
    with pytest.raises(CheckpointError, match="header"):
        load_state(path)


@pytest.mark.parametrize(
    "header",
    [
        b'{"w":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}',
        b'{"w":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4398046511104]}}',
        b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}',
        b"not json",
    ],
)
def test_a_header_that_lies_is_refused(tmp_path, header):
    with pytest.raises(CheckpointError, match="safetensors"):
        load_state(write_safetensors(tmp_path / "w.safetensors", header))


@pytest.mark.parametrize(
    ("held", "message"),
    [
        ([1, 2], "list"),
        ({"step": 3}, "'step': int"),
        ({}, "dict"),
        ({1: torch.zeros(1)}, "1: Tensor"),
    ],
)
def test_what_is_no_state_dict_is_named(tmp_path, held, message):
    torch.save(held, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=message):
        load_state(tmp_path / "w.pth")


@pytest.mark.parametrize("name", ["absent.pth", "w.onnx"])
def test_other_files_are_named(tmp_path, name):
    (tmp_path / "w.onnx").touch()
    with pytest.raises(CheckpointError, match=name):
        load_state(tmp_path / name)


def test_every_fault_is_listed_and_nothing_is_loaded(state):
    module = torch.nn.BatchNorm1d(3)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    wrong = {
        "weight": torch.zeros(4),
        "running_mean": torch.zeros(3, dtype=torch.int64),
        "running_var": torch.zeros(3),
        "gain": torch.zeros(1),
    }
    with pytest.raises(CheckpointError) as caught:
        load_strict(module, wrong)
    for part in (
        "missing bias, num_batches_tracked",
        "unexpected gain",
        "weight: got shape [4], expected [3]",
        "running_mean: got torch.int64, expected torch.float32",
    ):
        assert part in str(caught.value)
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_fitting_state_is_loaded(state, device):
    module = torch.nn.Linear(2, 3, device=device)
    load_strict(module, {name: value.half() for name, value in state.items()})
    assert module.weight.dtype == torch.float32
    assert torch.equal(module.weight, state["weight"].half().float())


def test_ignored_names_may_be_missing_or_left_over(state):
    module = torch.nn.Linear(2, 3)
    bias = module.bias.clone()
    load_strict(
        module, {"weight": state["weight"], "encoder.x": torch.zeros(1)}, ["encoder.", "bias"]
    )
    assert torch.equal(module.weight, state["weight"])
    assert torch.equal(module.bias, bias)


class Net(torch.nn.Module):
    """Named as the published networks are: numbered blocks, and a few others."""

    def __init__(self, depth=30):
        super().__init__()
        self.stem = torch.nn.Linear(2, 3)
        self.blocks = torch.nn.ModuleList(torch.nn.Linear(3, 3) for _ in range(depth))


def prefixed(state, prefix):
    return {prefix + name: value for name, value in state.items()}


@pytest.fixture
def good():
    return {name: torch.randn_like(value) for name, value in Net(2).state_dict().items()}


@pytest.fixture
def bad(good):
    return {name: torch.zeros_like(value) for name, value in good.items()}


def loaded(tmp_path, held, **options):
    """Return the weights that a file gives a network, and what was told of them."""
    torch.save(held, tmp_path / "w.pt")
    told, module = [], Net(2)
    load_weights(module, tmp_path / "w.pt", tell=told.append, **options)
    return module.state_dict(), told


def same(state, other):
    return all(torch.equal(state[name], other[name]) for name in other)


def averaged(state):
    """As `torch.optim.swa_utils.AveragedModel` saves it."""
    return {"n_averaged": torch.ones(()), **prefixed(state, "module.")}


def lightning(good, bad, prefix):
    """One file with the parts of a whole training module."""
    other = {"loss.weight": torch.ones(1), **prefixed(bad, "teacher.")}
    return {"epoch": 3, "state_dict": {**prefixed(good, prefix), **other}}


AS_SAVED = {
    "model_ema": lambda good, bad: {"model": bad, "model_ema": good, "epoch": 1},
    "ema": lambda good, bad: {"model": bad, "ema": good, "opt": {}, "args": Namespace(lr=1)},
    "state_dict_ema": lambda good, bad: {"state_dict": bad, "state_dict_ema": good},
    "ema.module": lambda good, bad: {"net": bad, "ema": averaged(good)},
    "state_dict.ema_model": lambda good, bad: lightning(good, bad, "ema_model."),
    "state_dict.model": lambda good, bad: lightning(good, bad, "model."),
    "model": lambda good, bad: {"ema": {"shadow": torch.zeros(1)}, "model": good},
    "module": lambda good, bad: prefixed(good, "module."),
    "_orig_mod.module": lambda good, bad: prefixed(good, "_orig_mod.module."),
    "trainer.var_wo_ddp": lambda good, bad: {
        "trainer": {"var_wo_ddp": good, "vae_local": {"w": torch.ones(1)}}
    },
}


@pytest.mark.parametrize(("key", "wrap"), AS_SAVED.items())
def test_the_network_is_found_as_training_scripts_save_it(tmp_path, good, bad, key, wrap):
    state, told = loaded(tmp_path, wrap(good, bad))
    assert same(state, good)
    assert repr(key) in told[0]


def test_a_bare_state_needs_no_word(tmp_path, good):
    assert loaded(tmp_path, good)[1] == []


def test_what_is_passed_over_is_told_and_can_be_asked_for(tmp_path, good, bad):
    held = {"model": prefixed(bad, "module."), "model_ema": good}
    assert "also there: model.module" in loaded(tmp_path, held)[1][0]
    assert same(loaded(tmp_path, held, key="model")[0], bad)
    with pytest.raises(CheckpointError, match=r"weights-key: got 'ema', expected .*model_ema"):
        loaded(tmp_path, held, key="ema")


def test_hundreds_of_faults_are_told_by_what_they_have_in_common(tmp_path, good):
    torch.save({"state_dict": good}, tmp_path / "w.pt")
    with pytest.raises(CheckpointError) as caught:
        load_weights(Net(200), tmp_path / "w.pt")
    text = str(caught.value)
    assert "missing 396 tensors: blocks.2 to blocks.199 (396)" in text
    assert "deeper than the file's?" in text
    assert "under 'state_dict'" in text
    assert len(text) < 600


def test_a_prefix_that_no_rule_takes_off_is_named(tmp_path, good):
    torch.save(prefixed(good, "denoiser."), tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match=r"begin with 'denoiser\.', .*known prefixes: module"):
        load_weights(Net(2), tmp_path / "w.pt")


@pytest.mark.parametrize("zipped", [True, False])
def test_arguments_dates_paths_and_numbers_beside_the_weights_are_inert(tmp_path, good, zipped):
    beside = {
        "args": Namespace(lr=1e-4, out=Path("runs"), when=datetime.now(timezone.utc)),
        "took": timedelta(hours=3),
        "loss": np.float32(0.5),
        "best": np.float64(0.25),
        "count": np.int64(7),
        "history": np.arange(3.0),
    }
    torch.save({"model": good, **beside}, tmp_path / "w.pt", _use_new_zipfile_serialization=zipped)
    held = read_file(tmp_path / "w.pt")
    assert {type(held[name]) for name in beside} == {Inert}
    assert load_state(tmp_path / "w.pt").keys() == good.keys()


def test_a_class_that_only_looks_inert_is_refused(tmp_path, good):
    torch.save({"model": good, "args": Fraction(1, 2)}, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match=r"could run code: it asks for fractions\.Fraction"):
        load_state(tmp_path / "w.pt")


def test_counters_of_a_training_may_have_any_shape():
    module = torch.nn.Module()
    module.register_buffer("ema_vocab_hit_SV", torch.ones(3, 4))
    load_strict(module, {"ema_vocab_hit_SV": torch.ones(10, 4)})
    assert module.ema_vocab_hit_SV.shape == (3, 4)


@pytest.mark.parametrize("keys", [("ema", "model_ema"), ("state_dict", "weights")])
def test_of_two_that_fit_none_is_guessed(tmp_path, good, bad, keys):
    held = dict(zip(keys, (good, bad), strict=True))
    with pytest.raises(CheckpointError, match=rf"several fit, under '{keys[0]}', '{keys[1]}'.*key"):
        loaded(tmp_path, held)
    assert same(loaded(tmp_path, held, key=keys[1])[0], bad)


def test_the_same_tensors_under_two_keys_are_one_network(tmp_path, good):
    assert same(loaded(tmp_path, {"model": good, "network": dict(good)})[0], good)


def test_a_key_may_be_any_prefix_of_the_names(tmp_path, good, bad):
    held = {"model": {**prefixed(good, "teacher."), **prefixed(bad, "student.")}}
    assert same(loaded(tmp_path, held, key="model.teacher")[0], good)


def test_position_ids_of_an_older_encoder_are_left_over(tmp_path, good):
    held = {**good, "embeddings.position_ids": torch.arange(3)}
    assert same(loaded(tmp_path, held)[0], good)


def test_half_precision_is_read(tmp_path, good):
    half = {name: value.bfloat16() for name, value in good.items()}
    save_file(half, tmp_path / "w.safetensors")
    module = Net(2)
    load_weights(module, tmp_path / "w.safetensors")
    assert same(module.state_dict(), {name: value.float() for name, value in half.items()})


def test_prefixes_without_end_are_not_followed():
    found = find_held({"module." * 5000 + "weight": torch.ones(1)})
    assert len(found) == 1 + MAX_PREFIXES
