import os
import pickle
import struct
import time
import zipfile

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import save_file

from adagen_rt.errors import CheckpointError
from adagen_rt.models.checkpoint import MAX_HEADER, load_state, load_strict


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


def test_a_bloated_header_is_refused_fast(tmp_path):
    path = write_safetensors(tmp_path / "w.safetensors", b"{}" + b" " * MAX_HEADER)
    start = time.perf_counter()
    with pytest.raises(CheckpointError, match="header"):
        load_state(path)
    assert time.perf_counter() - start < 0.5


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
