"""Exporting reads nothing of what trains."""

import pytest

pytest.importorskip("torch")

import json
import subprocess
import sys

import yaml
from short_form import slow
from tiny_recipes import judged_recipe

SCRIPT = """
import json, sys
from adagen_rt.cli.export import export
export([sys.argv[1], "--seeded", "tiny", "--out", sys.argv[2]], standalone_mode=False)
print(json.dumps([name for name in sys.modules if name.startswith("adagen_rt.")]))
"""


@pytest.mark.parametrize("family", ["maskgit", *slow("var", "sit")])
def test_an_export_loads_no_training(family, tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(judged_recipe(family).model_dump(mode="json")))
    command = [sys.executable, "-c", SCRIPT, str(recipe), str(tmp_path / "engine")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = json.loads(done.stdout.splitlines()[-1])
    assert (tmp_path / "engine" / "manifest.json").is_file()
    for part in ("training", "evaluation", "serving"):
        assert not [name for name in loaded if name.startswith(f"adagen_rt.{part}")]
