import json

import pytest

pytest.importorskip("torch")

from hub.conftest import INDEX, pipeline_files

from adagen_rt.errors import DownloadError
from adagen_rt.hub.pipelines import choose_files, parts_of

PARTS = ("transformer", "tokenizer", "scheduler")
PLAIN = "transformer/diffusion_pytorch_model.safetensors"
HALF = "transformer/diffusion_pytorch_model.fp16.safetensors"


def chosen(files, variant=None):
    return set(choose_files(PARTS, files, variant, "who/pipeline"))


def test_weights_and_descriptions_are_chosen_and_nothing_else():
    assert chosen(pipeline_files()) == {
        "model_index.json",
        "transformer/config.json",
        PLAIN,
        "tokenizer/tokenizer_config.json",
        "tokenizer/spiece.model",
        "scheduler/scheduler_config.json",
    }


def test_a_variant_is_taken_where_a_part_has_it():
    files = [*pipeline_files(), "text_encoder/config.json", "text_encoder/model.safetensors"]
    got = set(choose_files((*PARTS, "text_encoder"), files, "fp16", "who/pipeline"))
    assert got & {HALF, PLAIN} == {HALF}
    assert "text_encoder/model.safetensors" in got


@pytest.mark.parametrize(
    ("variant", "index", "shard"),
    [
        (None, "safetensors.index.json", "-00001-of-00002.safetensors"),
        ("fp16", "safetensors.index.fp16.json", ".fp16-00001-of-00002.safetensors"),
        ("fp16", "safetensors.index.fp16.json", "-00001-of-00002.fp16.safetensors"),
    ],
)
def test_shards_come_with_their_list(variant, index, shard):
    stem = "transformer/diffusion_pytorch_model"
    files = pipeline_files() | {f"{stem}.{index}": b"", f"{stem}{shard}": b""}
    files.pop(PLAIN), files.pop(HALF)
    assert chosen(files, variant) >= {f"{stem}.{index}", f"{stem}{shard}"}


def test_what_a_part_lacks_is_told():
    files = pipeline_files()
    files.pop(PLAIN)
    with pytest.raises(DownloadError, match=r"transformer: .* only as fp16: --include fp16"):
        chosen(files)
    files.pop(HALF)
    with pytest.raises(DownloadError, match=r"transformer: no \.safetensors.*pickles are not"):
        chosen(files)
    with pytest.raises(DownloadError, match=r"include: got 'bf16', expected one of fp16"):
        chosen(pipeline_files(), "bf16")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[]", "not the description"),
        ("{}", "not the description"),
        ("x", "not the description"),
        (json.dumps(INDEX | {"unet": ["my_unet", "Net"]}), r"unet: got my_unet\.Net.*nor run"),
        (json.dumps(INDEX | {"../x": ["diffusers", "Net"]}), "got diffusers"),
    ],
)
def test_what_wants_code_or_is_no_pipeline_is_refused(tmp_path, text, told):
    (tmp_path / "model_index.json").write_text(text)
    with pytest.raises(DownloadError, match=told):
        parts_of(tmp_path / "model_index.json")
