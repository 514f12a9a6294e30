import pytest

pytest.importorskip("torch")

from adagen_rt.errors import CheckpointError
from adagen_rt.models.located import locate, snapshot

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def write(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"w")
    return path


def test_a_file_of_that_name_is_the_one(tmp_path):
    for name in ("net.pth", "net.safetensors", "net.pth.index.json", "backbones/net.pth"):
        write(tmp_path / name)
    told = []
    assert locate([tmp_path], "net.pth", told.append) == tmp_path / "net.pth"
    assert told == []


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("net.safetensors", "net.safetensors.index.json"),
        ("net.safetensors", "net.fp16.safetensors"),
        ("unet/net.safetensors", "unet/net.safetensors.index.fp16.json"),
        ("net.bin", "net.bf16.bin"),
        ("net.pth", "net.safetensors"),
        ("net.pth", "backbones/net.pth"),
        ("net.pth", "assets/backbones/net.pth"),
    ],
)
def test_a_file_is_found_as_others_lay_it_out(tmp_path, name, there):
    told, path = [], write(tmp_path / there)
    assert locate([tmp_path / "empty", tmp_path], name, told.append) == path
    assert f"taken for {name}" in told[0]


def test_of_several_none_is_guessed(tmp_path):
    write(tmp_path / "net.fp16.pth")
    write(tmp_path / "old" / "net.pth")
    with pytest.raises(CheckpointError, match=r"several could be meant: .*fp16.*old.*name one of"):
        locate([tmp_path], "net.pth")


@pytest.mark.parametrize("there", ["a/b/c/net.pth", "net.ema.pth", "other.pth"])
def test_what_no_rule_finds_is_told_with_the_rules(tmp_path, there):
    write(tmp_path / there)
    with pytest.raises(
        CheckpointError, match=r"net\.pth: no such file; nor shards .*nor a variant"
    ):
        locate([tmp_path], "net.pth")


def test_a_hub_s_cache_is_read_through_its_links(tmp_path):
    blob, inside = write(tmp_path / "blobs" / "b1"), tmp_path / "snapshots" / COMMIT
    inside.mkdir(parents=True)
    (inside / "net.pth").symlink_to("../../blobs/b1")
    write(tmp_path / "snapshots" / "other" / "net.pth")
    with pytest.raises(CheckpointError, match="no revision is the main one"):
        locate([tmp_path], "net.pth")
    (tmp_path / "refs").mkdir()
    (tmp_path / "refs" / "main").write_text(COMMIT)
    for folder in (tmp_path, inside):
        assert locate([folder], "net.pth").resolve() == blob
    (tmp_path / "refs" / "main").write_text("../../..")
    with pytest.raises(CheckpointError, match="expected the name of a commit"):
        snapshot(tmp_path)


def test_a_link_that_leads_nowhere_is_called_so(tmp_path):
    (tmp_path / "net.pth").symlink_to("../blobs/gone")
    with pytest.raises(CheckpointError, match=r"net\.pth: a link to .*gone, which is not there"):
        locate([tmp_path], "net.pth")
