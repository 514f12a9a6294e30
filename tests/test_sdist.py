"""The source distribution has all that a build and a first image need."""

import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ("py", "pyi", "html", "safetensors")
BUILD = "import sys, scikit_build_core.build as b; print(b.build_sdist(sys.argv[1]))"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Names in the archive, without its top folder."""
    pytest.importorskip("scikit_build_core", reason="needs what builds the package")
    folder = tmp_path_factory.mktemp("sdist")
    command = [sys.executable, "-c", BUILD, str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as content:
        return {name.partition("/")[2] for name in content.getnames()}


@pytest.mark.parametrize(
    "pattern",
    ["engines/fashion-*/*", "export/*.yaml", "cpp_ext/**/*"]
    + [f"adagen_rt/**/*.{suffix}" for suffix in PACKAGE],
)
def test_it_has_every_file(files, pattern):
    expected = {str(path.relative_to(ROOT)) for path in ROOT.glob(pattern) if path.is_file()}
    assert {name for name in expected if "__pycache__" not in name} <= files


def test_it_has_what_builds_it(files):
    assert {"pyproject.toml", "CMakeLists.txt", "LICENSE", "README.md"} <= files


def test_it_has_four_engines_and_no_plans(files):
    assert sum(name.endswith("/manifest.json") for name in files) == 4
    assert not [name for name in files if "/plans/" in name or name.endswith(".so")]
