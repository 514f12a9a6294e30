"""Data, models and pretrained weights that commands are given."""

import gzip
import json
import shutil
import struct

import numpy as np
import pytest


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """Both splits of a data set, 20 images each, in a folder that tests must not change."""
    folder = tmp_path_factory.mktemp("data")
    for prefix in ("train", "t10k"):
        images = np.random.default_rng(0).integers(0, 255, (20, 28, 28)).astype(np.uint8)
        for name, array in (("images-idx3", images), ("labels-idx1", np.arange(20) % 10)):
            header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
            content = gzip.compress(header + array.astype(np.uint8).tobytes())
            (folder / f"{prefix}-{name}-ubyte.gz").write_bytes(content)
    return folder


@pytest.fixture(scope="session")
def saved_model(tmp_path_factory):
    """A tiny generator's recipe, and the folder of its weights; tests must not change either."""
    from tiny_recipes import tiny_networks, tiny_recipe

    from adagen_rt.training.checkpoint import save_weights

    recipe = tiny_recipe("sit")
    networks = tiny_networks(recipe)
    folder = tmp_path_factory.mktemp("model")
    weights = folder / "weights"
    save_weights(networks.backbone.state_dict(), weights / "backbone.safetensors")
    save_weights(networks.decoder.state_dict(), weights / "decoder.safetensors")
    content = recipe.model_dump(mode="json", exclude_none=True)
    (folder / "tiny.yaml").write_text(json.dumps(content))
    return folder / "tiny.yaml", weights


@pytest.fixture
def model(saved_model, tmp_path):
    """Copies of both that the test may change."""
    recipe, weights = saved_model
    own = shutil.copytree(weights, tmp_path / "weights")
    return shutil.copy(recipe, tmp_path / recipe.name), own
