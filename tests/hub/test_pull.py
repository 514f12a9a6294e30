import hashlib
import os
import shutil
import subprocess
import sys
from collections import namedtuple

import pytest

pytest.importorskip("torch")
pytest.importorskip("huggingface_hub")

from click.testing import CliRunner
from hub.conftest import WEIGHTS
from hub_server import HubRepository
from tiny_recipes import tiny_recipe

from adagen_rt.cli import main
from adagen_rt.errors import DownloadError, InputError
from adagen_rt.export.sources import Source
from adagen_rt.hub import pull
from adagen_rt.hub.repository import SPARE_BYTES

LINK = "https://drive.example/file"


def recipe(**changes):
    """A recipe whose backbone and policy are on the hub, and whose decoder is behind a link."""
    tiny = tiny_recipe("maskgit")
    names = {"backbone": "net.pth", "policy": "policy.pth", "decoder": "vae.ckpt"}
    files = tiny.files.model_copy(update=names)
    sources = {
        "backbone": Source(repository="who/weights"),
        "policy": Source(repository="who/weights", path="deep/policy.pth"),
        "decoder": Source(link=LINK),
        **changes,
    }
    return tiny.model_copy(update={"files": files, "sources": sources})


@pytest.fixture
def by_hand(tmp_path):
    """The folder of files that no hub has, with the one that is behind a link."""
    folder = tmp_path / "hand"
    folder.mkdir()
    (folder / "vae.ckpt").write_bytes(WEIGHTS["c"])
    return folder


def test_all_files_of_a_recipe_come_together(hub, by_hand):
    told = []
    pulled = pull(recipe(), by_hand, tell=told.append)
    places = {got.path.name: got.path for got in pulled.files}
    assert {name: path.read_bytes() for name, path in places.items()} == {
        "net.pth": WEIGHTS["a"],
        "policy.pth": WEIGHTS["b"],
        "vae.ckpt": WEIGHTS["c"],
    }
    assert all(
        (folder / name).is_file()
        for name, folder in zip(("vae.ckpt", "net.pth", "policy.pth"), pulled.folders, strict=True)
    )
    licence = next(place for place, line in enumerate(told) if "licence mit" in line)
    digest = hashlib.sha256(WEIGHTS["a"]).hexdigest()
    got = next(place for place, line in enumerate(told) if f"net.pth: SHA-256 {digest}" in line)
    assert licence < got
    assert "as the hub says" in told[got]
    assert any("vae.ckpt: SHA-256" in line and "nobody" in line for line in told)


def test_what_is_there_is_not_fetched_again(hub, by_hand):
    pull(recipe(), by_hand)
    hub.requests.clear()
    told = []
    pull(recipe(), by_hand, tell=told.append)
    assert hub.fetched("net.pth") == []
    assert any("0.0 MB of them to fetch" in line for line in told)


def test_a_cut_connection_is_resumed(hub, by_hand, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 500)
    hub.breaks["net.pth"] = 1
    pull(recipe(), by_hand)
    assert hub.fetched("net.pth") == [None, f"bytes={len(WEIGHTS['a']) // 2}-"]


def test_an_interrupted_pull_goes_on_where_it_was(hub, by_hand):
    everything = hub.repositories["who/weights"].files
    policy = everything.pop("deep/policy.pth")
    broken = recipe(policy=Source(repository="who/other", path="deep/policy.pth"))
    hub.repositories["who/other"] = HubRepository({"deep/policy.pth": policy}, gated=True)
    with pytest.raises(DownloadError, match="asks for consent"):
        pull(broken, by_hand)
    hub.repositories["who/other"].gated = False
    hub.requests.clear()
    assert len(pull(broken, by_hand).files) == 3
    assert hub.fetched("net.pth") == []


def test_a_damaged_file_is_removed_and_fetched_anew(hub, by_hand):
    repository = hub.repositories["who/weights"]
    repository.served["net.pth"] = bytes(len(WEIGHTS["a"]) - 1) + b"x"
    with pytest.raises(DownloadError, match=r"net\.pth: got SHA-256 .*which the hub says; it was"):
        pull(recipe(), by_hand)
    repository.served.clear()
    assert pull(recipe(), by_hand).files[1].path.read_bytes() == WEIGHTS["a"]


@pytest.mark.parametrize("name", ["backbone", "decoder"])
def test_another_file_than_the_recipe_pins_is_not_used(hub, by_hand, name):
    place = {"repository": "who/weights"} if name == "backbone" else {"link": LINK}
    right = hashlib.sha256(WEIGHTS["a" if name == "backbone" else "c"]).hexdigest()
    told = []
    pull(recipe(**{name: Source(**place, sha256=right)}), by_hand, tell=told.append)
    assert any(f"{right} (as the recipe says)" in line for line in told)
    with pytest.raises(DownloadError, match="expected the recipe's 0000"):
        pull(recipe(**{name: Source(**place, sha256="0" * 64)}), by_hand)


def test_files_that_no_hub_has_are_named_before_anything_is_fetched(hub, tmp_path):
    with pytest.raises(DownloadError, match=rf"put them into .*empty: vae\.ckpt from {LINK}"):
        pull(recipe(), tmp_path / "empty")
    assert hub.fetched("net.pth") == []


def test_a_pipeline_comes_without_code_and_pickles(hub, tmp_path):
    folder = pull("who/pipeline", tmp_path).folders[0]
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert "transformer/diffusion_pytorch_model.safetensors" in there
    assert not any(name.endswith((".py", ".bin", ".md")) for name in there)
    assert "all-in-one.safetensors" not in there


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("who/nobody", {}, "no such repository"),
        ("who/weights", {}, "no diffusers pipeline"),
        ("who/pipeline", {"revision": "v9"}, "no revision 'v9'"),
        ("who/pipeline", {"variant": "bf16"}, "include: got 'bf16', expected one of fp16"),
    ],
)
def test_what_cannot_be_pulled_is_told_in_a_line(hub, tmp_path, name, options, told):
    with pytest.raises(DownloadError, match=told) as caught:
        pull(name, tmp_path, **options)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_missing_is_told(hub, by_hand):
    hub.repositories["who/weights"].files.pop("net.pth")
    with pytest.raises(DownloadError, match=r"who/weights: it has no net\.pth"):
        pull(recipe(), by_hand)


def test_a_gated_repository_says_what_to_do(hub, tmp_path):
    hub.repositories["who/pipeline"].gated = True
    with pytest.raises(DownloadError, match=r"accept the licence at .*who/pipeline.*HF_TOKEN"):
        pull("who/pipeline", tmp_path)


def test_a_full_disk_is_told_before(hub, by_hand, monkeypatch):
    usage = namedtuple("usage", "total used free")(1, 1, SPARE_BYTES)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(DownloadError, match=r"cache: got 256 MiB free, expected 256.*HF_HUB_CACHE"):
        pull(recipe(), by_hand)
    assert hub.fetched("net.pth") == []


def test_offline_it_says_what_would_be_fetched(hub, by_hand, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(DownloadError, match=r"net\.pth, deep/policy\.pth from .*who/weights at"):
        pull(recipe(), by_hand)
    with pytest.raises(DownloadError, match=r"model_index\.json and the weights .*who/pipeline"):
        pull("who/pipeline", by_hand)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    online = [pull(recipe(), by_hand), pull("who/pipeline", by_hand)]
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    again = [pull(recipe(), by_hand), pull("who/pipeline", by_hand)]
    assert [one.folders for one in again] == [one.folders for one in online]


def test_no_network_is_offline(hub, by_hand, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(DownloadError, match="the hub cannot be reached"):
        pull(recipe(), by_hand)


def test_options_that_a_recipe_has_no_use_for_are_refused(hub, by_hand):
    with pytest.raises(InputError, match="include: got 'fp16', expected none"):
        pull(recipe(), by_hand, variant="fp16")
    other = recipe(policy=Source(repository="who/other"))
    with pytest.raises(InputError, match=r"revision: .*who/weights, who/other"):
        pull(other, by_hand, revision="v2")


def test_the_command_says_what_it_would_fetch_and_what_it_knows(hub):
    ran = CliRunner().invoke(main, ["pull", "who/pipeline", "--dry-run"], catch_exceptions=False)
    assert ran.exit_code == 0
    assert "6 files" in ran.output
    assert hub.fetched("transformer/diffusion_pytorch_model.safetensors") == []
    ran = CliRunner().invoke(main, ["pull", "nothing"])
    assert "got 'nothing', expected one of dit-xl-2" in ran.output
    assert ran.exit_code == 2


def test_the_environment_says_which_hub(hub, tmp_path):
    command = [sys.executable, "-m", "adagen_rt", "pull", "who/pipeline"]
    ran = subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "adagen-rt pull who/pipeline --out ENGINE" in ran.stdout
