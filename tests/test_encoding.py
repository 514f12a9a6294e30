"""Text files are UTF-8, whatever the locale says."""

import ast
import os
from pathlib import Path

import pytest
from process import run_python

import adagen_rt

ROOT = Path(adagen_rt.__file__).parent
SCRIPTS = Path(__file__).parents[1] / "benchmarks"
#: What has members that are bytes, whatever the mode.
ARCHIVES = ("archive", "tarfile")
NAMES = ("Gänseblümchen", "café", "雛菊")


def text_calls(tree):
    """Calls that read or write text, with the encoding that they name."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        if getattr(getattr(node.func, "value", None), "id", "") in ARCHIVES:
            continue
        words = [a.value for a in node.args if isinstance(a, ast.Constant)]
        mode = next((word for word in words if isinstance(word, str)), "r")
        text = name in ("read_text", "write_text") or (
            name in ("open", "fdopen", "NamedTemporaryFile") and set(mode) <= set("rwaxt+")
        )
        if text and (name != "open" or not node.args or words):
            yield node, any(keyword.arg == "encoding" for keyword in node.keywords)


@pytest.mark.parametrize("root", [ROOT, SCRIPTS], ids=["package", "benchmarks"])
def test_every_text_file_names_its_encoding(root):
    silent = [
        f"{path.name}:{node.lineno}"
        for path in sorted(root.rglob("*.py"))
        for node, named in text_calls(ast.parse(path.read_text(encoding="utf-8")))
        if not named
    ]
    assert not silent


def test_a_manifest_written_in_another_locale_is_read_again(own_engine):
    code = f"""
import locale, pathlib, sys
from adagen_rt.condition import ClassLabels
from adagen_rt.engine.folder import MANIFEST, open_engine, write_manifest
assert locale.getpreferredencoding(False).upper() not in ("UTF-8", "UTF8")
engine = open_engine(sys.argv[1])
condition = ClassLabels(count=3, names={NAMES!a})
(engine.path / MANIFEST).unlink()
write_manifest(engine.path, engine.manifest.model_copy(update={{"condition": condition}}))
assert open_engine(sys.argv[1]).manifest.condition == condition
"""
    paths = {"PYTHONPATH": os.pathsep.join([str(ROOT.parent), os.environ.get("PYTHONPATH", "")])}
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = run_python(code, own_engine, env={**os.environ, **paths, **plain})
    assert done.returncode == 0, done.stderr
    manifest = (own_engine / "manifest.json").read_text(encoding="utf-8")
    assert all(name in manifest for name in NAMES)
