import json

import pytest
from tiny_engine import STEPS, build_tiny_engine

from adagen_rt.cli.support.tables import quantity, table
from adagen_rt.engine.folder import open_engine, shipped_engines
from adagen_rt.engine.manifest import SEEDED


def test_a_page_for_people(run, tiny_engine):
    page = run("inspect", tiny_engine).stdout
    for text in (
        "tiny",
        "maskgit",
        "mask_ratio",
        "0 to inf",
        "cosine",
        "tokens(rows,16)",
        "k a step",
    ):
        assert text in page


def test_the_same_as_json(run, tiny_engine):
    content = json.loads(run("inspect", tiny_engine, "--json").stdout)
    backbone, small = 1000, 10
    assert content["flops"]["per_step"] == 2 * backbone + small
    assert content["flops"]["per_image"] == STEPS * (2 * backbone + small) + small
    assert content["parameters"] == 278
    assert content["adaptive"] is True
    actions = {action["name"]: action for action in content["schedule"]["actions"]}
    assert actions["mask_ratio"]["range"] == [0, 1]
    assert actions["guidance_scale"]["range"] == [0, None]
    assert len(actions["mask_ratio"]["static_values"]) == STEPS
    assert set(content["bytes"]) == {"backbone.onnx", "decoder.onnx", "policy.onnx"}


@pytest.mark.parametrize("name", sorted(shipped_engines()))
def test_a_static_value_for_every_policy_call(run, name):
    """Diffusion asks once before the first evaluation."""
    content = json.loads(run("inspect", name, "--json").stdout)
    manifest = open_engine(name).manifest
    calls = manifest.schedule.steps + (content["family"]["family"] in ("dit", "sit"))
    told = {a["name"]: a["static_values"] for a in content["schedule"]["actions"]}
    assert {len(values) for values in told.values()} == {calls}


@pytest.mark.parametrize("name", sorted(shipped_engines()))
def test_a_server_tells_the_same_static_values(run, name):
    pytest.importorskip("fastapi")
    from adagen_rt.serving.http.describe import describe_engine

    content = json.loads(run("inspect", name, "--json").stdout)
    told = {a["name"]: a["static_values"] for a in content["schedule"]["actions"]}
    served = describe_engine(open_engine(name).manifest)["static_schedule"]
    assert told.keys() == served.keys()
    for action, values in served.items():
        assert told[action] == pytest.approx(values, rel=1e-6)


def test_fashion_dit_has_nine_calls(run):
    content = json.loads(run("inspect", "fashion-dit", "--json").stdout)
    assert [len(a["static_values"]) for a in content["schedule"]["actions"]] == [9, 9]


def test_an_engine_without_a_policy(run, static_engine):
    assert "static: no policy" in run("inspect", static_engine).stdout


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1 k"),
        (1234567, "1.23 M"),
        (2e16, "2e+04 T"),
        (None, "unknown"),
    ],
)
def test_quantities(number, text):
    assert quantity(number) == text


def test_tables_align():
    assert table(("a", "b"), [("long", "x")]) == "a     b\n----  -\nlong  x"


def test_an_engine_of_noise_is_not_said_to_adapt(run, tmp_path):
    folder = build_tiny_engine(tmp_path / "engine")
    assert "adapted by a policy" in run("inspect", folder).stdout
    content = json.loads((folder / "manifest.json").read_text())
    content["versions"][SEEDED] = "tag"
    (folder / "manifest.json").write_text(json.dumps(content))
    page = run("inspect", folder).stdout
    assert "adapted" not in page
    assert "untrained policy: all weights are seeded noise" in page


def test_a_fresh_policy_is_not_said_to_adapt(run, tmp_path):
    pytest.importorskip("torch")
    from tiny_recipes import tiny_networks, tiny_recipe

    from adagen_rt.export import export_engine
    from adagen_rt.serving.http.describe import describe_engine
    from adagen_rt.training.checkpoint import save_weights

    recipe, weights, engine = tiny_recipe("sit"), tmp_path / "weights", tmp_path / "engine"
    networks = tiny_networks(recipe)
    for name in ("backbone", "decoder"):
        save_weights(getattr(networks, name).state_dict(), weights / f"{name}.safetensors")
    export_engine(recipe, engine, weights=weights)
    page = run("inspect", engine).stdout
    assert "adapted" not in page
    assert "the policy is fresh" in page
    assert "the policy is fresh" in describe_engine(open_engine(engine).manifest)["schedule"]
    out = ("--out", tmp_path / "a.png", "--count", 1)
    assert "the policy is fresh" in run("generate", "--engine", engine, *out).stderr
    assert run("generate", "--engine", engine, *out, "--static").stderr == ""
