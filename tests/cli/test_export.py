"""`adagen-rt export`: what is checked before anything is exported."""

import pytest

torch = pytest.importorskip("torch")

import yaml
from tiny_recipes import tiny_networks, tiny_recipe

FILES = {"backbone": "backbones/net 1.pt", "decoder": "vae.pth", "policy": "policies/p.pth"}


@pytest.fixture
def recipe(tmp_path):
    """Write weight files in folders, and give a function that writes a recipe for them."""
    tiny = tiny_recipe("maskgit")
    networks = tiny_networks(tiny)
    for name, file in FILES.items():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        torch.save(getattr(networks, name).state_dict(), tmp_path / file)

    def write(**changes):
        content = tiny.model_dump(mode="json") | {"files": FILES}
        for section, fields in changes.items():
            content[section] = content[section] | fields if isinstance(fields, dict) else fields
        (tmp_path / "r.yaml").write_text(yaml.safe_dump(content))
        return tmp_path / "r.yaml"

    return write


def test_a_recipe_and_weights_that_fit(run, recipe, tmp_path):
    done = run("export", recipe(), "--weights", tmp_path, "--check")
    assert done.exit_code == 0, done.output
    assert done.stdout == "tiny-maskgit: recipe and weights can be exported\n"
    assert run("export", recipe(), "--check").stdout == "tiny-maskgit: recipe can be exported\n"


def test_every_fault_of_the_weights_is_told_at_once(refuse, recipe, tmp_path):
    (tmp_path / FILES["decoder"]).unlink()
    torch.save({"weight": torch.ones(1)}, tmp_path / FILES["policy"])
    told = refuse("export", recipe(backbone={"depth": 5}), "--weights", tmp_path, "--check")
    for part in ("net 1.pt: weights do not fit", "vae.pth: no such file", "policies/p.pth: "):
        assert part in told


@pytest.mark.parametrize("check", [True, False])
def test_a_recipe_that_cannot_run_is_one_line(refuse, recipe, tmp_path, check):
    path = recipe(decoder={"groups": 7}, pixel_range=[1, -1])
    arguments = ["--check"] if check else ["--out", tmp_path / "engine"]
    told = refuse("export", path, "--weights", tmp_path, *arguments)
    assert "decoder: groups: got 7, expected a divisor of" in told
    assert "pixel_range: got [1, -1]" in told


def test_the_average_is_taken_and_told_and_another_key_can_be_named(run, recipe, tmp_path):
    path = tmp_path / FILES["backbone"]
    good = torch.load(path)
    torch.save({"model": good, "model_ema": good}, path)
    arguments = ("export", recipe(), "--weights", tmp_path, "--check")
    assert "weights under 'model_ema'; also there: model" in run(*arguments).stderr
    for key in ("model", "backbone=model"):
        told = run(*arguments, "--weights-key", key).stderr
        assert "weights under 'model'; also there: model_ema" in told


@pytest.mark.parametrize(
    ("key", "message"),
    [("ema", "weights-key: got 'ema'"), ("decodr=x", "weights-key: got 'decodr', expected one of")],
)
def test_a_key_that_is_not_there(refuse, recipe, tmp_path, key, message):
    told = refuse("export", recipe(), "--weights", tmp_path, "--check", "--weights-key", key)
    assert message in told


def test_without_a_check_there_is_somewhere_to_write(run, recipe, tmp_path):
    done = run("export", recipe(), "--weights", tmp_path)
    assert done.exit_code == 2
    assert "Missing option '--out'" in done.stderr


@pytest.mark.parametrize("arguments", [["--check"], ["--out", "engine"]])
def test_what_is_neither_a_recipe_nor_a_pipeline(refuse, tmp_path, arguments):
    told = refuse("export", tmp_path, *arguments)
    assert f"{tmp_path}: got a folder, expected a recipe (a YAML file), or a pipeline" in told
    told = refuse("export", tmp_path / "nowhere", *arguments)
    assert f"{tmp_path / 'nowhere'}: cannot be read: No such file or directory" in told


def test_an_engine_may_be_named_as_its_recipe(tmp_path, monkeypatch):
    from adagen_rt.export.recipe import load_recipe

    monkeypatch.chdir(tmp_path)
    (tmp_path / "dit-xl-2").mkdir()
    assert load_recipe("dit-xl-2").name == "dit-xl-2"
