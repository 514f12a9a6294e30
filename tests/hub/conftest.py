import json

import pytest

pytest.importorskip("torch")
pytest.importorskip("huggingface_hub")

from hub_server import Hub, HubRepository, serving

#: Longer than what the hub keeps in git.
WEIGHTS = {name: bytes([place]) * 5000 for place, name in enumerate(("a", "b", "c"))}
INDEX = {
    "_class_name": "DiTPipeline",
    "transformer": ["diffusers", "DiTTransformer2DModel"],
    "tokenizer": ["transformers", "T5Tokenizer"],
    "scheduler": ["diffusers", "DDIMScheduler"],
    "safety_checker": [None, None],
}


def pipeline_files():
    """A pipeline's repository, with much beside it that is not of the pipeline."""
    return {
        "model_index.json": json.dumps(INDEX).encode(),
        "README.md": b"read me",
        "setup.py": b"raise SystemExit",
        "all-in-one.safetensors": WEIGHTS["c"],
        "transformer/config.json": b"{}",
        "transformer/diffusion_pytorch_model.safetensors": WEIGHTS["a"],
        "transformer/diffusion_pytorch_model.fp16.safetensors": WEIGHTS["b"],
        "transformer/diffusion_pytorch_model.bin": WEIGHTS["c"],
        "transformer/model.py": b"raise SystemExit",
        "tokenizer/tokenizer_config.json": b"{}",
        "tokenizer/spiece.model": b"pieces",
        "scheduler/scheduler_config.json": b"{}",
    }


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub with a repository of weights and one of a pipeline, and an empty cache."""
    from huggingface_hub import constants

    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    weights = HubRepository({"net.pth": WEIGHTS["a"], "deep/policy.pth": WEIGHTS["b"]})
    repositories = {"who/weights": weights, "who/pipeline": HubRepository(pipeline_files())}
    with serving(Hub(repositories)) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        yield served
